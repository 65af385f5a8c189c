//! What a version is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::is_inside;
use super::{RegistryError, disk};
use crate::{Results, sha256};

const SCHEMA: &str = "potstill.version/1";

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionId {
    /// Name of the model.
    pub model: String,
    /// Number of the version, from 1; numbers are never used again.
    pub version: u64,
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.version)
    }
}

/// What an [`Ingredient`] was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IngredientKind {
    /// It taught.
    Teacher,
    /// The student began with these weights.
    Start,
    /// It was learned from.
    Data,
    /// How it was done: the configuration of the run.
    Recipe,
    /// The code that did it.
    Code,
}

impl IngredientKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Start => "start",
            Self::Data => "data",
            Self::Recipe => "recipe",
            Self::Code => "code",
        }
    }
}

/// Something that a version was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingredient {
    /// What it was for.
    pub kind: IngredientKind,
    /// What people call it.
    pub name: String,
    /// Its SHA-256, in hexadecimal; for a revision of code, whatever names it.
    pub sha256: String,
    /// Its version, if it is in the same registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
}

impl Ingredient {
    /// Something outside the registry, known by its hash.
    #[must_use]
    pub fn new(kind: IngredientKind, name: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            sha256: sha256.into(),
            version: None,
        }
    }

    /// A file, known by its bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn of_file(
        kind: IngredientKind,
        name: impl Into<String>,
        path: impl AsRef<Path>,
    ) -> Result<Self, RegistryError> {
        let path = path.as_ref();
        let (hash, _) = sha256::of_file(path).map_err(RegistryError::io("read", path))?;
        Ok(Self::new(kind, name, hash))
    }

    /// A version of the same registry.
    #[must_use]
    pub fn of_version(kind: IngredientKind, manifest: &Manifest) -> Self {
        Self {
            version: Some(manifest.id()),
            ..Self::new(kind, manifest.id().to_string(), &manifest.files_sha256)
        }
    }
}

/// A version that is to be saved.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVersion {
    /// Name of the model.
    pub model: String,
    /// Folder of its files, all of which are stored.
    pub folder: PathBuf,
    /// Its license, as an SPDX expression where there is one.
    pub license: String,
    /// What it was made with.
    pub ingredients: Vec<Ingredient>,
    /// What was measured of it; without them, no alias will ever point to it.
    pub results: Option<Results>,
    /// Anything else that is worth knowing.
    pub notes: BTreeMap<String, String>,
}

impl NewVersion {
    /// A version of which only the files and the license are known.
    #[must_use]
    pub fn new(
        model: impl Into<String>,
        folder: impl Into<PathBuf>,
        license: impl Into<String>,
    ) -> Self {
        Self {
            model: model.into(),
            folder: folder.into(),
            license: license.into(),
            ingredients: Vec::new(),
            results: None,
            notes: BTreeMap::new(),
        }
    }
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Where it is in the model's folder, with `/` between the parts.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// Everything about a version; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the model.
    pub model: String,
    /// Number of the version.
    pub version: u64,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// Its license.
    pub license: String,
    /// Its files, by path.
    pub files: Vec<StoredFile>,
    /// [`files_sha256`](crate::files_sha256) of them.
    pub files_sha256: String,
    /// SHA-256 of its results, which are stored like a file.
    pub results_sha256: Option<String>,
    /// What it was made with.
    pub ingredients: Vec<Ingredient>,
    /// Anything else.
    pub notes: BTreeMap<String, String>,
}

impl Manifest {
    /// Which version it is about.
    #[must_use]
    pub fn id(&self) -> VersionId {
        VersionId {
            model: self.model.clone(),
            version: self.version,
        }
    }

    /// The hashes of all objects that it needs.
    pub(super) fn objects(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().map(|file| file.sha256.as_str());
        files.chain(self.results_sha256.as_deref())
    }
}

/// A manifest as it lies on disk, with its own hash: versions never change, and if one did, it shows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionFile {
    schema: String,
    sha256: String,
    manifest: Manifest,
}

impl VersionFile {
    pub(super) fn write(path: &Path, manifest: Manifest) -> Result<(), RegistryError> {
        let sha256 = Self::hash(path, &manifest)?;
        let schema = SCHEMA.into();
        let file = Self {
            schema,
            sha256,
            manifest,
        };
        disk::write_json(path, &file)
    }

    /// The manifest at `path`, which is that of `id`.
    pub(super) fn read(path: &Path, id: &VersionId) -> Result<Manifest, RegistryError> {
        let file: Self = disk::read_json(path)?;
        disk::check_schema(path, &file.schema, SCHEMA)?;
        let problem = if Self::hash(path, &file.manifest)? != file.sha256 {
            "it is not what its own hash says"
        } else if file.manifest.id() != *id {
            "it is the manifest of another version"
        } else if !file.manifest.objects().all(sha256::is_one) {
            "it names a file by something that is no hash"
        } else if !file.manifest.files.iter().all(|file| is_inside(&file.path)) {
            "it has a file outside the model's folder"
        } else {
            return Ok(file.manifest);
        };
        Err(RegistryError::Damaged {
            path: path.into(),
            problem: problem.into(),
        })
    }

    fn hash(path: &Path, manifest: &Manifest) -> Result<String, RegistryError> {
        let json = serde_json::to_vec(manifest).map_err(|source| RegistryError::Json {
            path: path.into(),
            source,
        })?;
        Ok(sha256::of_bytes(&json))
    }
}
