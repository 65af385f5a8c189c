//! Retiring versions, and removing what nobody refers to.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::manifest::VersionFile;
use super::{Manifest, Registry, RegistryError, VersionId, disk};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Registry {
    /// Takes a version out of use. Its manifest and its results stay for those who ask about its
    /// descendants; its files go with the next [`collect_garbage`](Self::collect_garbage).
    ///
    /// # Errors
    ///
    /// When there is no such version, an alias points to it, or the folder cannot be written.
    pub fn retire(&self, id: &VersionId) -> Result<(), RegistryError> {
        let _lock = self.lock()?;
        self.manifest(id)?;
        let aliases = self.aliases(&id.model)?;
        if let Some((alias, _)) = aliases.into_iter().find(|(_, target)| target == id) {
            return Err(RegistryError::InUse {
                id: id.clone(),
                alias,
            });
        }
        let path = self.manifest_path(id, ".json")?;
        let retired = self.manifest_path(id, ".retired.json")?;
        fs::rename(&path, retired).map_err(RegistryError::io("rename", &path))?;
        path.parent().map_or(Ok(()), disk::sync_folder)
    }

    /// Removes the files of retired versions and what killed writers left behind.
    ///
    /// Whoever still reads a retired version may find it gone.
    ///
    /// # Errors
    ///
    /// When a manifest cannot be read, in which case nothing is removed, or a file cannot be.
    pub fn collect_garbage(&self) -> Result<Collected, RegistryError> {
        let _lock = self.lock()?;
        let mut needed = HashSet::new();
        for model in self.models()? {
            for id in self.versions(&model)? {
                needed.extend(self.manifest(&id)?.objects().map(str::to_owned));
            }
            for version in self.numbers(&model, ".retired.json")? {
                let model = model.clone();
                needed.extend(self.retired(&VersionId { model, version })?.results_sha256);
            }
        }
        let mut collected = Collected::default();
        let objects = self.root.join("objects");
        for folder in disk::names(&objects)? {
            collected.sweep(&objects.join(folder), |name| !needed.contains(name))?;
        }
        // Writers begin their files with a dot, and there is no other writer now.
        let is_left_behind = |name: &str| name.starts_with('.');
        collected.sweep(&self.root, is_left_behind)?;
        for model in self.models()? {
            let folder = self.model_folder(&model)?;
            collected.sweep(&folder, is_left_behind)?;
            let versions = folder.join("versions");
            if versions.exists() {
                collected.sweep(&versions, is_left_behind)?;
            }
        }
        Ok(collected)
    }

    /// The manifest of a version that was retired.
    pub(super) fn retired(&self, id: &VersionId) -> Result<Manifest, RegistryError> {
        VersionFile::read(&self.manifest_path(id, ".retired.json")?, id)
    }
}

impl Collected {
    /// Removes the files of a folder that `is_garbage` names.
    fn sweep(
        &mut self,
        folder: &Path,
        is_garbage: impl Fn(&str) -> bool,
    ) -> Result<(), RegistryError> {
        for name in disk::names(folder)?
            .into_iter()
            .filter(|name| is_garbage(name))
        {
            let path = folder.join(name);
            let metadata = fs::metadata(&path).map_err(RegistryError::io("read", &path))?;
            if metadata.is_file() {
                fs::remove_file(&path).map_err(RegistryError::io("remove", &path))?;
                self.files += 1;
                self.bytes += metadata.len();
            }
        }
        Ok(())
    }
}
