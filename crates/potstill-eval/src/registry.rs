//! A registry of models in a folder: versions that never change, and aliases that move through gates.

mod check_out;
mod disk;
mod error;
mod garbage;
mod lineage;
mod manifest;
mod moves;
mod names;
mod objects;
mod save;
mod verify;

pub use error::RegistryError;
pub use garbage::Collected;
pub use lineage::Lineage;
pub use manifest::{Ingredient, IngredientKind, Manifest, NewVersion, StoredFile, VersionId};
pub use moves::{Move, MoveReason};
pub use objects::files_sha256;
pub use verify::Damage;

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::manifest::VersionFile;
use self::names::check_name;
use self::objects::Objects;
use crate::{Baseline, Results};

const SCHEMA: &str = "potstill.registry/1";

/// Models in a folder.
///
/// ```text
/// registry.json                    schema
/// lock                             held by whoever writes
/// objects/3f/3f79…                 files by SHA-256; what versions share is stored once
/// models/NAME/versions/3.json      manifest of a version, with a hash of itself
/// models/NAME/versions/2.retired.json
/// models/NAME/moves.json           every move of every alias, with the report of the gates
/// ```
///
/// Everything is written beside its place, synced, renamed and the folder synced; a version is there
/// when its manifest is, which comes last, and an alias points where its last move says. So a process
/// can be killed at any moment: what it did not finish is not there, but for objects nobody refers to,
/// which [`collect_garbage`](Self::collect_garbage) removes. Writers wait for each other, readers
/// for nobody.
///
/// ```
/// use potstill_eval::{Better, Gates, Metric, NewVersion, Registry, Results, Verdict};
///
/// let folder = tempfile::tempdir()?;
/// let model = folder.path().join("student");
/// std::fs::create_dir(&model)?;
/// std::fs::write(model.join("model.safetensors"), "weights")?;
///
/// let registry = Registry::open(folder.path().join("registry"))?;
/// let results = Results::new("student").with_metric("accuracy", Metric::of_value(Better::Higher, 0.9));
/// let version = registry.save(&NewVersion {
///     results: Some(results),
///     ..NewVersion::new("student", &model, "Apache-2.0")
/// })?;
///
/// let gates = Gates::parse(
///     r#"
///     schema = "potstill.gates/1"
///     [[threshold]]
///     metric = "accuracy"
///     min = 0.8
///     "#,
/// )?;
/// let report = registry.promote(&version, "champion", &gates, folder.path())?;
/// assert_eq!(report.verdict(), Verdict::Passed);
/// assert_eq!(registry.resolve("student", "champion")?, Some(version));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
    objects: Objects,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: String,
}

/// The right to write; whoever is killed gives it back.
#[derive(Debug)]
struct Lock {
    _file: File,
}

impl Registry {
    /// Opens the registry in `root`, or begins one there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written, or holds a registry of another schema.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, RegistryError> {
        let root = root.into();
        std::fs::create_dir_all(&root).map_err(RegistryError::io("create", &root))?;
        let registry = Self {
            objects: Objects::new(root.join("objects")),
            root,
        };
        let header = registry.root.join("registry.json");
        if !header.exists() {
            let _lock = registry.lock()?;
            for folder in ["objects", "models"] {
                disk::create_folder(&registry.root.join(folder))?;
            }
            let schema = SCHEMA.to_owned();
            disk::write_json(&header, &Header { schema })?;
        }
        let Header { schema } = disk::read_json(&header)?;
        disk::check_schema(&header, &schema, SCHEMA)?;
        Ok(registry)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all models.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn models(&self) -> Result<Vec<String>, RegistryError> {
        let mut names = disk::names(&self.root.join("models"))?;
        names.retain(|name| check_name("a model", name).is_ok());
        Ok(names)
    }

    /// The versions of a model, ascending, without those that were retired; none if there is no such
    /// model.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or the name cannot be one of a model.
    pub fn versions(&self, model: &str) -> Result<Vec<VersionId>, RegistryError> {
        let numbers = self.numbers(model, ".json")?;
        let id = |version| VersionId {
            model: model.into(),
            version,
        };
        Ok(numbers.into_iter().map(id).collect())
    }

    /// The manifest of a version.
    ///
    /// # Errors
    ///
    /// When there is no such version, it was retired, or its manifest is damaged.
    pub fn manifest(&self, id: &VersionId) -> Result<Manifest, RegistryError> {
        let path = self.manifest_path(id, ".json")?;
        if !path.exists() {
            return Err(RegistryError::UnknownVersion { id: id.clone() });
        }
        VersionFile::read(&path, id)
    }

    /// The results that were saved with a version; `None` if there were none.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the results are damaged.
    pub fn results(&self, id: &VersionId) -> Result<Option<Results>, RegistryError> {
        let Some(hash) = self.manifest(id)?.results_sha256 else {
            return Ok(None);
        };
        let bytes = self.objects.read(&hash)?;
        Results::parse(&bytes, &self.objects.path(&hash))
            .map(Some)
            .map_err(|source| RegistryError::Results {
                id: id.clone(),
                source: Box::new(source),
            })
    }

    /// The version that an alias points to; `None` while it points nowhere.
    ///
    /// # Errors
    ///
    /// When the moves of the model cannot be read, or a name cannot be one.
    pub fn resolve(&self, model: &str, alias: &str) -> Result<Option<VersionId>, RegistryError> {
        check_name("an alias", alias)?;
        let moves = self.moves(model)?;
        let last = moves.iter().rev().find(|step| step.alias == alias);
        Ok(last.map(|step| VersionId {
            model: model.into(),
            version: step.version,
        }))
    }

    /// What a gate compares with: for `@alias` the results of the version of `model` that it points to,
    /// for any other name the file in `folder`.
    #[must_use]
    pub fn baseline(&self, model: &str, folder: &Path, name: &str) -> Baseline {
        let Some(alias) = name.strip_prefix('@') else {
            return Baseline::of_file(folder, name);
        };
        let results = || match self.resolve(model, alias)? {
            None => Ok(Baseline::Unset),
            Some(id) => Ok(match self.results(&id)? {
                Some(results) => Baseline::Results(Box::new(results)),
                None => Baseline::Unreadable(format!("{name} is {id}, which has no results")),
            }),
        };
        results().unwrap_or_else(|error: RegistryError| Baseline::Unreadable(error.to_string()))
    }

    fn lock(&self) -> Result<Lock, RegistryError> {
        let path = self.root.join("lock");
        let failed = |source| RegistryError::io("lock", &path)(source);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(Lock { _file: file })
    }

    fn model_folder(&self, model: &str) -> Result<PathBuf, RegistryError> {
        check_name("a model", model)?;
        Ok(self.root.join("models").join(model))
    }

    fn manifest_path(&self, id: &VersionId, ending: &str) -> Result<PathBuf, RegistryError> {
        let versions = self.model_folder(&id.model)?.join("versions");
        Ok(versions.join(format!("{}{ending}", id.version)))
    }

    /// The numbers in front of `ending`, ascending.
    fn numbers(&self, model: &str, ending: &str) -> Result<Vec<u64>, RegistryError> {
        let folder = self.model_folder(model)?.join("versions");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut numbers: Vec<u64> = disk::names(&folder)?
            .iter()
            .filter_map(|name| name.strip_suffix(ending)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests;
