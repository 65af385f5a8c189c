//! Whose folder it is, and whether what is in it is wanted.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::super::CacheError;
use super::super::manifest::Manifest;
use crate::prediction::vocabulary_name;

const LOCK: &str = "lock";

/// Keeps other builders out for as long as the file is open.
pub(in crate::cache) fn lock(folder: &Path) -> Result<File, CacheError> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(CacheError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CacheError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(CacheError::io("lock", &path)(source)),
    }
}

/// Refuses to go on with a cache of something else.
pub(in crate::cache) fn check_same(
    folder: &Path,
    cached: &Manifest,
    wanted: &Manifest,
) -> Result<(), CacheError> {
    let differ = |what, cached: String, wanted: String| {
        if cached == wanted {
            return Ok(());
        }
        Err(CacheError::Other {
            path: folder.to_owned(),
            what,
            cached,
            wanted,
        })
    };
    if cached.teacher != wanted.teacher {
        differ(
            "teacher",
            cached.teacher.to_string(),
            wanted.teacher.to_string(),
        )?;
    }
    differ(
        "vocabulary",
        vocabulary_name(&cached.vocabulary),
        vocabulary_name(&wanted.vocabulary),
    )?;
    differ(
        "setting",
        format!("{:?}", cached.keep),
        format!("{:?}", wanted.keep),
    )?;
    let layers = |manifest: &Manifest| format!("{:?}", manifest.hidden.layers);
    differ("hidden states", layers(cached), layers(wanted))
}
