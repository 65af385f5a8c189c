//! Files by the hash of their content.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;

use super::{RegistryError, StoredFile, disk};
use crate::sha256;

#[derive(Clone, Debug)]
pub(super) struct Objects {
    root: PathBuf,
}

impl Objects {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where the object of this hash is.
    pub(super) fn path(&self, hash: &str) -> PathBuf {
        let folder = hash.get(..2).unwrap_or("__");
        self.root.join(folder).join(hash)
    }

    /// Stores a file, unless its content is there already. What was damaged since is written again.
    pub(super) fn put_file(&self, path: &Path) -> Result<(String, u64), RegistryError> {
        let read = || sha256::of_file(path).map_err(RegistryError::io("read", path));
        let (hash, bytes) = read()?;
        let object = self.path(&hash);
        if sha256::of_file(&object).is_ok_and(|(found, _)| found == hash) {
            return Ok((hash, bytes));
        }
        self.create_folder(&object)?;
        let failed = |source| RegistryError::io("write", &object)(source);
        let mut source = File::open(path).map_err(RegistryError::io("read", path))?;
        let mut copy = AtomicWriteFile::open(&object).map_err(failed)?;
        let (copied, _) =
            sha256::of_reader(&mut source, |block| copy.write_all(block)).map_err(failed)?;
        if copied != hash {
            return Err(RegistryError::Changed { path: path.into() });
        }
        copy.commit().map_err(failed)?;
        Ok((hash, bytes))
    }

    pub(super) fn put_bytes(&self, bytes: &[u8]) -> Result<String, RegistryError> {
        let hash = sha256::of_bytes(bytes);
        let object = self.path(&hash);
        self.create_folder(&object)?;
        crate::file::write(&object, bytes).map_err(RegistryError::io("write", &object))?;
        Ok(hash)
    }

    pub(super) fn read(&self, hash: &str) -> Result<Vec<u8>, RegistryError> {
        let path = self.path(hash);
        let bytes = fs::read(&path).map_err(RegistryError::io("read", &path))?;
        if sha256::of_bytes(&bytes) != hash {
            return Err(RegistryError::Damaged {
                path,
                problem: "its content has another hash".into(),
            });
        }
        Ok(bytes)
    }

    /// Reads all of an object to see whether it is what its name says.
    pub(super) fn check(&self, hash: &str) -> Result<u64, RegistryError> {
        let path = self.path(hash);
        match sha256::of_file(&path).map_err(RegistryError::io("read", &path))? {
            (found, bytes) if found == hash => Ok(bytes),
            _ => Err(RegistryError::Damaged {
                path,
                problem: "its content has another hash".into(),
            }),
        }
    }

    fn create_folder(&self, object: &Path) -> Result<(), RegistryError> {
        disk::create_folder(object.parent().unwrap_or(&self.root))
    }
}

/// One hash of all files in a folder, by which [`Results`](crate::Results) name the model that they
/// are about: SHA-256 of the lines that `sha256sum` prints for the files in the order of their paths.
///
/// # Errors
///
/// When the folder cannot be read, holds no files, or something that is neither file nor folder.
pub fn files_sha256(folder: impl AsRef<Path>) -> Result<String, RegistryError> {
    let folder = folder.as_ref();
    let mut files = Vec::new();
    for path in files_in(folder)? {
        let file = folder.join(&path);
        let (sha256, bytes) = sha256::of_file(&file).map_err(RegistryError::io("read", &file))?;
        files.push(StoredFile {
            path,
            sha256,
            bytes,
        });
    }
    Ok(hash_of(&files))
}

pub(super) fn hash_of(files: &[StoredFile]) -> String {
    let lines: String = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.path))
        .collect();
    sha256::of_bytes(lines.as_bytes())
}

/// Paths of all files below a folder, in order.
pub(super) fn files_in(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let mut paths = Vec::new();
    collect(folder, "", &mut paths)?;
    if paths.is_empty() {
        return Err(RegistryError::NoFiles {
            folder: folder.into(),
        });
    }
    paths.sort_unstable();
    Ok(paths)
}

fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<(), RegistryError> {
    let read = |source| RegistryError::io("read", folder)(source);
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let refused = |what| RegistryError::NoFile {
            path: path.clone(),
            what,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = format!("{prefix}{}", name.ok_or_else(|| refused("not UTF-8"))?);
        // Lists of hashes have a line for each file.
        if name.contains(['\n', '\r']) {
            return Err(refused("a name with a line break"));
        }
        if !super::names::is_inside(&name) {
            return Err(refused("a name that other systems read as a path"));
        }
        // A link to a file counts as the file; a link to a folder may lead in a circle.
        let metadata = fs::metadata(&path).map_err(RegistryError::io("read", &path))?;
        if metadata.is_file() {
            paths.push(name);
        } else if metadata.is_dir() && !path.is_symlink() {
            collect(&path, &format!("{name}/"), paths)?;
        } else {
            return Err(refused("neither a file nor a folder"));
        }
    }
    Ok(())
}
