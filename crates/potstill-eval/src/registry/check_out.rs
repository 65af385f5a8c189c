//! Files of a version, back in a folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Registry, RegistryError, VersionId, disk};
use crate::sha256;

impl Registry {
    /// Writes the files of a version to `folder`, which does not exist yet and is there only when all of
    /// them are, with the right hashes.
    ///
    /// # Errors
    ///
    /// When there is no such version, a file is damaged, or the folder exists or cannot be written.
    pub fn check_out(&self, id: &VersionId, folder: impl AsRef<Path>) -> Result<(), RegistryError> {
        let folder = folder.as_ref();
        if folder.exists() {
            return Err(RegistryError::Exists {
                folder: folder.into(),
            });
        }
        let manifest = self.manifest(id)?;
        let partial = partial_folder(folder)?;
        let copied = manifest
            .files
            .iter()
            .try_for_each(|file| self.copy(&file.sha256, &partial.join(&file.path)));
        let moved = copied.and_then(|()| {
            let moved = fs::rename(&partial, folder);
            moved.map_err(|source| match folder.exists() {
                // Somebody else was faster.
                true => RegistryError::Exists {
                    folder: folder.into(),
                },
                false => RegistryError::io("rename", &partial)(source),
            })
        });
        if moved.is_err() {
            // The first error is the one that counts.
            let _ = fs::remove_dir_all(&partial);
            return moved;
        }
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => disk::sync_folder(parent),
            _ => disk::sync_folder(Path::new(".")),
        }
    }

    fn copy(&self, hash: &str, to: &Path) -> Result<(), RegistryError> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(RegistryError::io("create", parent))?;
        }
        let object = self.objects.path(hash);
        let failed = |source| RegistryError::io("write", to)(source);
        let mut source = File::open(&object).map_err(RegistryError::io("read", &object))?;
        let mut copy = File::create_new(to).map_err(failed)?;
        let (copied, _) =
            sha256::of_reader(&mut source, |block| copy.write_all(block)).map_err(failed)?;
        if copied != hash {
            return Err(RegistryError::Damaged {
                path: object,
                problem: "its content has another hash".into(),
            });
        }
        copy.sync_all().map_err(failed)
    }
}

/// A new folder beside `folder`, for nobody else: two threads may check out at a time, and in containers
/// every process has the same number. One that a killed process left behind keeps its name.
fn partial_folder(folder: &Path) -> Result<PathBuf, RegistryError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(RegistryError::io("create", parent))?;
    }
    let mut number = 0_u64;
    loop {
        let mut name = OsString::from(".");
        name.push(folder.file_name().unwrap_or_default());
        name.push(format!(".partial-{number}"));
        let partial = folder.with_file_name(name);
        match fs::create_dir(&partial) {
            Ok(()) => return Ok(partial),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(RegistryError::io("create", &partial)(error)),
        }
    }
}
