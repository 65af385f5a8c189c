//! The folder of a run.
//!
//! ```text
//! run.json                what is needed to repeat the run
//! metrics.jsonl           a line for each logged step and each evaluation
//! checkpoints/step-N/     to continue from
//! best/step-N/            the best student so far, with its objective
//! .lock                   held by the process that trains
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, durable};

/// A run folder that no other process uses.
#[derive(Debug)]
pub(crate) struct RunFolder {
    root: PathBuf,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// A folder without a run.
    pub(crate) fn create(root: &Path) -> Result<Self, Error> {
        let folder = Self::open(root)?;
        let used = folder.description().exists()
            || folder.metrics().exists()
            || !durable::entries(&folder.checkpoints())?.is_empty();
        if used {
            return Err(Error::RunExists {
                path: root.to_owned(),
            });
        }
        Ok(folder)
    }

    /// A folder with or without a run, made if there is none.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let path = root.join(".lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::RunLocked {
                    path: root.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let folder = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        durable::clean(&folder.checkpoints())?;
        durable::clean(&folder.best())?;
        Ok(folder)
    }

    pub(crate) fn description(&self) -> PathBuf {
        self.root.join("run.json")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub(crate) fn best(&self) -> PathBuf {
        self.root.join("best")
    }

    /// The newest checkpoint that is whole, `None` if there is none at all. Damaged ones are named in
    /// the log and passed over.
    pub(crate) fn latest_checkpoint(&self) -> Result<Option<PathBuf>, Error> {
        let mut newest = None;
        for (_, path) in steps_in(&self.checkpoints())?.into_iter().rev() {
            match durable::verify(&path) {
                Ok(()) => return Ok(Some(path)),
                Err(flaw) => {
                    tracing::warn!(checkpoint = %path.display(), %flaw, "skipping a damaged checkpoint");
                    newest.get_or_insert((path, flaw));
                }
            }
        }
        match newest {
            None => Ok(None),
            // Beginning anew would cost the log of the run.
            Some((path, flaw)) => Err(Error::NoWholeCheckpoint {
                path,
                source: Box::new(flaw),
            }),
        }
    }
}

/// The folder of a step.
pub(crate) fn step_folder(parent: &Path, step: usize) -> PathBuf {
    parent.join(format!("step-{step}"))
}

/// The step folders of `parent`, ascending.
pub(crate) fn steps_in(parent: &Path) -> Result<Vec<(usize, PathBuf)>, Error> {
    let mut steps: Vec<(usize, PathBuf)> = durable::entries(parent)?
        .into_iter()
        .filter_map(|path| {
            let step = path
                .file_name()?
                .to_str()?
                .strip_prefix("step-")?
                .parse()
                .ok()?;
            Some((step, path))
        })
        .collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Removes the step folders of `parent` that `keep` does not want.
pub(crate) fn prune(parent: &Path, keep: impl Fn(usize) -> bool) -> Result<(), Error> {
    for (step, path) in steps_in(parent)? {
        if !keep(step) {
            durable::remove(&path)?;
        }
    }
    Ok(())
}
