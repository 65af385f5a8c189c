//! JSON and folders that survive a kill.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RegistryError;

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RegistryError> {
    let bytes = fs::read(path).map_err(RegistryError::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| RegistryError::Json {
        path: path.into(),
        source,
    })
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RegistryError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|source| RegistryError::Json {
        path: path.into(),
        source,
    })?;
    bytes.push(b'\n');
    crate::file::write(path, &bytes).map_err(RegistryError::io("write", path))
}

pub(super) fn check_schema(
    path: &Path,
    found: &str,
    expected: &'static str,
) -> Result<(), RegistryError> {
    if found == expected {
        return Ok(());
    }
    Err(RegistryError::Schema {
        path: path.into(),
        found: found.into(),
        expected,
    })
}

/// Creates a folder, unless it is there, so that it is still there after a loss of power.
pub(super) fn create_folder(path: &Path) -> Result<(), RegistryError> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(RegistryError::io("create", path)(error)),
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes what was created, renamed or removed in a folder last.
pub(super) fn sync_folder(path: &Path) -> Result<(), RegistryError> {
    // Elsewhere a folder cannot be opened, and its entries are written through.
    if cfg!(unix) {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(RegistryError::io("sync", path))?;
    }
    Ok(())
}

/// Names of everything in a folder, in order.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    };
    read().map_err(RegistryError::io("read", folder))
}
