//! What can go wrong with a cache.

use std::path::{Path, PathBuf};

use potstill_core::TeacherError;

/// Why a cache cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "create", "open", "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The device of a batch or of the teacher cannot be read.
    #[error("the device cannot be read")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The teacher that is to be cached has no signal.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// Somebody else is writing the cache.
    #[error("{} is being written by another builder; wait for it, or use another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A setting that no cache can have.
    #[error("{setting} is {value}, it must be {accepted}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What was asked for.
        value: usize,
        /// What would be accepted.
        accepted: String,
    },
    /// Two caches hold rows of the same text, but not the same rows.
    #[error(
        "{} holds {rows} rows from position {position} of a text of which another part holds other rows; \
         give each part texts of its own",
        path.display()
    )]
    Crossing {
        /// The shard that cannot be added.
        path: PathBuf,
        /// Where its rows begin in the text.
        position: u32,
        /// How many there are.
        rows: u32,
    },
    /// The manifest is no manifest.
    #[error("{} is not the manifest of a teacher cache", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest is not what was written.
    #[error("{} is damaged: its content does not have the checksum that it names", path.display())]
    ManifestChecksum {
        /// The file.
        path: PathBuf,
    },
    /// The manifest is of another version, or of something else.
    #[error("{} has the schema {found}, this program reads {expected}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// The cache holds something else than what is wanted.
    #[error(
        "the cache in {} was made with the {what} {cached}, not {wanted}; use another folder, or \
         delete this one", path.display()
    )]
    Other {
        /// The folder.
        path: PathBuf,
        /// "teacher", "tokenizer", ...
        what: &'static str,
        /// That of the cache.
        cached: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// A shard has not as many bytes as were written.
    #[error(
        "{} has {found} bytes, {expected} were written; delete the folder to make the cache again, or \
         restore the file", path.display()
    )]
    ShardSize {
        /// The file.
        path: PathBuf,
        /// Bytes that the manifest names.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A shard is not what was written.
    #[error(
        "{} is damaged: its SHA-256 is {found}, {expected} was written", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the manifest names.
        expected: String,
        /// That of the file.
        found: String,
    },
    /// A shard does not hold what the manifest says.
    #[error("{} is not a shard of this cache: {reason}", path.display())]
    Shard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The teacher was never asked about rows of a batch.
    #[error(
        "{missing} of the {rows} rows of this batch are not in the cache in {}; run its builder on \
         the text that they come from", path.display()
    )]
    NotCached {
        /// The folder.
        path: PathBuf,
        /// Rows that are missing.
        missing: usize,
        /// Rows of the batch.
        rows: usize,
    },
    /// An objective wants to see what was not kept.
    #[error(
        "the cache in {} keeps the teacher's hidden states {kept:?}, the objective asks for {wanted}",
        path.display()
    )]
    NotKept {
        /// The folder.
        path: PathBuf,
        /// The layers that were kept.
        kept: Vec<usize>,
        /// What was asked for.
        wanted: String,
    },
    /// The teacher does not say what is to be kept.
    #[error(
        "the teacher's prediction is {kind}; only a whole distribution (dense or deferred) can be cached"
    )]
    NoDistribution {
        /// What it is.
        kind: &'static str,
    },
    /// The teacher says something that is no number.
    #[error("the teacher's {what} at position {position} of a segment cannot be kept: {reason}")]
    NotFinite {
        /// "prediction" or "hidden state".
        what: &'static str,
        /// Position in the segment.
        position: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl CacheError {
    /// For `map_err` after an operation on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(super) fn device(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Device(Box::new(source))
    }
}

impl From<CacheError> for TeacherError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Teacher(error) => error,
            other => Self::Source(Box::new(other)),
        }
    }
}
