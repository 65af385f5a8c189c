//! The folder of a run, which belongs to one run at a time.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::PipelineError;

/// Keeps other runs out of a folder until it is dropped, or its process is killed.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
}

impl Claim {
    /// Creates the folder if need be, and removes what a killed run was about to write.
    pub(super) fn on(folder: &Path) -> Result<Self, PipelineError> {
        let chunks = folder.join("chunks");
        fs::create_dir_all(&chunks).map_err(PipelineError::io("create", &chunks))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(PipelineError::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(PipelineError::Busy {
                    folder: folder.into(),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(PipelineError::io("lock", &path)(source));
            }
        }
        for folder in [folder, &chunks] {
            remove_unfinished(folder).map_err(PipelineError::io("clean", folder))?;
        }
        Ok(Self { _lock: lock })
    }
}

/// A file is written beside its target under `.NAME.RANDOM` until it is whole.
fn remove_unfinished(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let target = name
            .strip_prefix('.')
            .and_then(|name| name.rsplit_once('.'))
            .map_or("", |(target, _)| target);
        if target.ends_with(".jsonl") || target.ends_with(".json") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
