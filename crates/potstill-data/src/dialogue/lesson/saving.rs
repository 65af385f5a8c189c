//! A lesson on disk.

use std::io::Write;
use std::path::Path;

use atomic_write_file::AtomicWriteFile;

use super::super::{DialogueError, Transcript};

pub(super) fn save(transcript: &Transcript, path: &Path) -> Result<(), DialogueError> {
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(&serde_json::to_vec_pretty(transcript)?)?;
        file.commit()
    };
    write().map_err(io("write", path))
}

pub(super) fn io(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> DialogueError {
    move |source| DialogueError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
