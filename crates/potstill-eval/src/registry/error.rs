//! What can go wrong with a registry.

use std::io;
use std::path::{Path, PathBuf};

use super::VersionId;
use crate::{Error, GateError};

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file or folder cannot be used.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{path} cannot be understood")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A file follows another schema.
    #[error("{path} follows the schema {found:?}, this version reads {expected:?}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A name that cannot be one.
    #[error("{name:?} cannot be the name of {what}; {expected}")]
    Name {
        /// What it should name, with its article.
        what: &'static str,
        /// The name.
        name: String,
        /// What would be right.
        expected: &'static str,
    },
    /// There is no such version, or it was retired.
    #[error("there is no version {id}")]
    UnknownVersion {
        /// The version.
        id: VersionId,
    },
    /// An alias has no earlier version to go back to.
    #[error("{model} has no earlier version that was @{alias} and is still there")]
    NoEarlierVersion {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// A version that is to be retired is in use.
    #[error("{id} is @{alias}; promote another version first")]
    InUse {
        /// The version.
        id: VersionId,
        /// The alias that points to it.
        alias: String,
    },
    /// A version without results cannot pass a gate.
    #[error("{id} was saved without results, so no gate can be judged; save it again with them")]
    NoResults {
        /// The version.
        id: VersionId,
    },
    /// Results of other files.
    #[error(
        "the results are about files with the hash {results:.12}…, but those to be saved have \
         {files:.12}…; measure them"
    )]
    OtherFiles {
        /// Hash of the files that were measured.
        results: String,
        /// Hash of the files that were to be saved.
        files: String,
    },
    /// The results of a version cannot be stored or read.
    #[error("the results of {id} cannot be used")]
    Results {
        /// The version.
        id: VersionId,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A version needs files.
    #[error("{folder} holds no files; a version needs at least one")]
    NoFiles {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that no version can hold.
    #[error("{path:?} is {what}; a version holds files and folders with names in UTF-8")]
    NoFile {
        /// What was found.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A version needs a license.
    #[error("version of {model} without a license; name one, or \"unknown\"")]
    NoLicense {
        /// The model.
        model: String,
    },
    /// Something else wrote to a file while it was saved.
    #[error("{path} changed while it was saved; save it again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what it was when it was stored.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A folder that is to be written is there already.
    #[error("{folder} exists; name one that does not")]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// The gates make no sense.
    #[error("the gates cannot be judged")]
    Gates(#[from] GateError),
}

impl RegistryError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
