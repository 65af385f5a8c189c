//! Folders that are either whole or not there.
//!
//! A folder is written beside its place as `NAME.tmp-PID`, with a manifest of the size and hash of
//! every file; all of it is synced, and only then is it renamed. What a crash leaves behind has
//! another name, and [`clean`] puts it in its place if it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

const MANIFEST: &str = "manifest.json";
const SCHEMA: &str = "potstill.manifest/1";
const UNFINISHED: &str = ".tmp-";
const DOOMED: &str = "-old";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: String,
    files: BTreeMap<String, FileEntry>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

/// Why a folder cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    /// The manifest is missing or no manifest.
    #[error("its {MANIFEST} cannot be read: {0}")]
    Manifest(String),
    /// A file is missing or cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    /// A file is not the one that was written.
    #[error("{file} has {found} bytes where {expected} were written, or other content")]
    Changed {
        file: String,
        found: u64,
        expected: u64,
    },
}

/// Writes the folder `place` with `write`, which gets the folder to write into.
///
/// A folder of that name is replaced.
pub(crate) fn write_folder(
    place: &Path,
    write: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let unfinished = beside(place, "");
    let sealed = (|| {
        remove(&unfinished)?;
        fs::create_dir_all(&unfinished).map_err(Error::io("create", &unfinished))?;
        write(&unfinished)?;
        seal(&unfinished)
    })();
    if sealed.is_err() {
        // Best effort: the original error matters more, and a later start cleans up.
        let _ = remove(&unfinished);
        return sealed;
    }
    // Between these two the folder has no name; `clean` gives it back to one that is sealed.
    remove(place)?;
    fs::rename(&unfinished, place).map_err(Error::io("create", place))?;
    sync_parent(place)
}

/// Removes a folder so that a crash never leaves part of it under its name.
pub(crate) fn remove(place: &Path) -> Result<(), Error> {
    if !place.exists() {
        return Ok(());
    }
    let doomed = beside(place, DOOMED);
    fs::rename(place, &doomed).map_err(Error::io("remove", place))?;
    fs::remove_dir_all(&doomed).map_err(Error::io("remove", &doomed))
}

/// Puts in its place what a crash has only kept from being renamed, and removes whatever else
/// crashes have left behind in `folder`.
pub(crate) fn clean(folder: &Path) -> Result<(), Error> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((place, rest)) = name.split_once(UNFINISHED) else {
            continue;
        };
        let place = folder.join(place);
        if !rest.ends_with(DOOMED) && !place.exists() && verify(&path).is_ok() {
            fs::rename(&path, &place).map_err(Error::io("create", &place))?;
            sync_parent(&place)?;
        } else {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Everything in `folder`, nothing if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    listing
        .map(|entry| Ok(entry.map_err(Error::io("list", folder))?.path()))
        .collect()
}

/// Whether every file of the folder is there, as long and with the content as it was written.
pub(crate) fn verify(folder: &Path) -> Result<(), Flaw> {
    let text = fs::read_to_string(folder.join(MANIFEST))
        .map_err(|error| Flaw::Manifest(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| Flaw::Manifest(error.to_string()))?;
    if manifest.schema != SCHEMA {
        return Err(Flaw::Manifest(format!(
            "its schema is {}, not {SCHEMA}",
            manifest.schema
        )));
    }
    for (file, expected) in manifest.files {
        let path = folder.join(&file);
        let bytes = fs::metadata(&path).map(|metadata| metadata.len());
        let found = bytes.and_then(|bytes| {
            // A truncated file of many gigabytes need not be read to be refused.
            if bytes == expected.bytes {
                describe(&path)
            } else {
                Ok(FileEntry {
                    bytes,
                    sha256: String::new(),
                })
            }
        });
        let found = found.map_err(|source| Flaw::Unreadable {
            file: file.clone(),
            source,
        })?;
        if found != expected {
            return Err(Flaw::Changed {
                file,
                found: found.bytes,
                expected: expected.bytes,
            });
        }
    }
    Ok(())
}

/// Syncs the folder that holds `path`, so that its name survives a power cut.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    sync_folder(parent)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync", folder))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), Error> {
    Ok(())
}

fn beside(place: &Path, suffix: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(format!("{UNFINISHED}{}{suffix}", std::process::id()));
    PathBuf::from(name)
}

/// Syncs every file of the folder and writes their manifest.
fn seal(folder: &Path) -> Result<(), Error> {
    let mut files = BTreeMap::new();
    for path in entries(folder)? {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", &path))?;
        let entry = describe(&path).map_err(Error::io("read", &path))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.insert(name, entry);
    }
    write_json(
        &folder.join(MANIFEST),
        &Manifest {
            schema: SCHEMA.into(),
            files,
        },
    )?;
    sync_folder(folder)
}

fn describe(path: &Path) -> io::Result<FileEntry> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
    let sha256 = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(FileEntry { bytes, sha256 })
}

/// Writes a JSON file: beside its place, synced, renamed.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let mut json = serde_json::to_vec_pretty(value).map_err(Error::json(path))?;
    json.push(b'\n');
    write_file(path, &json)
}

/// Writes a file: beside its place, synced, renamed.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let mut file = atomic_write_file::AtomicWriteFile::open(path)?;
        io::Write::write_all(&mut file, content)?;
        file.commit()
    };
    write().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests;
