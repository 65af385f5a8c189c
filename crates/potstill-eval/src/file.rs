//! Files that are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;

use crate::Error;

/// Writes beside `path`, syncs, renames over it and syncs the folder.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicWriteFile::open(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// The same, with the path in the error.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text.as_bytes()).map_err(|source| Error::Write {
        path: path.into(),
        source,
    })
}
