//! The folder of a run.
//!
//! ```text
//! run.json                what is needed to repeat the run
//! metrics.jsonl           a line for each logged step and each evaluation
//! samples.jsonl           what the student made of the prompts that it was given
//! checkpoints/step-N/     to continue from
//! best/step-N/            the best student so far, with its objective
//! failed/step-N/          a step that gave no number
//! ended.json              why the run ended; missing while it runs, and if it was killed
//! .lock                   held by the process that trains
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, durable};

/// What is there once a run has begun.
pub(crate) const STARTED: &str = "run.json";
/// What is there once it has ended.
pub(crate) const ENDED: &str = "ended.json";
const LOCK: &str = ".lock";

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
        let path = root.join(LOCK);
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
        self.root.join(STARTED)
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    pub(crate) fn samples(&self) -> PathBuf {
        self.root.join("samples.jsonl")
    }

    pub(crate) fn ended(&self) -> PathBuf {
        self.root.join(ENDED)
    }

    pub(crate) fn failed(&self) -> PathBuf {
        self.root.join("failed")
    }

    /// Takes back what an earlier part of the run has said about its end.
    pub(crate) fn forget_end(&self) -> Result<(), Error> {
        let path = self.ended();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
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

/// Whether a process trains in the run folder.
pub(crate) fn is_locked(root: &Path) -> Result<bool, Error> {
    let path = root.join(LOCK);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
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
