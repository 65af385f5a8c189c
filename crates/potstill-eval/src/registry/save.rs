//! Saving a version.

use jiff::Timestamp;

use super::manifest::VersionFile;
use super::names::check_name;
use super::objects::{files_in, hash_of};
use super::{Manifest, NewVersion, Registry, RegistryError, StoredFile, VersionId, disk};
use crate::Results;

impl Registry {
    /// Stores the files of a model as its next version.
    ///
    /// When this returns, the version is on disk to stay; when the process dies before, it is not there.
    /// Results that do not say which files they are about are taken to be about these.
    ///
    /// # Errors
    ///
    /// When the files cannot be read or written, the license is missing, the results are about other
    /// files, or an ingredient is a version that is not there.
    pub fn save(&self, new: &NewVersion) -> Result<VersionId, RegistryError> {
        check_name("a model", &new.model)?;
        if new.license.trim().is_empty() {
            return Err(RegistryError::NoLicense {
                model: new.model.clone(),
            });
        }
        let _lock = self.lock()?;
        for id in new
            .ingredients
            .iter()
            .filter_map(|ingredient| ingredient.version.as_ref())
        {
            self.manifest(id)?;
        }
        let mut files = Vec::new();
        for path in files_in(&new.folder)? {
            let (sha256, bytes) = self.objects.put_file(&new.folder.join(&path))?;
            files.push(StoredFile {
                path,
                sha256,
                bytes,
            });
        }
        let id = VersionId {
            model: new.model.clone(),
            version: self.next_version(&new.model)?,
        };
        let files_sha256 = hash_of(&files);
        let results = new.results.as_ref();
        let results_sha256 = results
            .map(|results| self.put_results(results, &files_sha256, &id))
            .transpose()?;
        let manifest = Manifest {
            model: id.model.clone(),
            version: id.version,
            saved_at: Timestamp::now(),
            license: new.license.clone(),
            files,
            files_sha256,
            results_sha256,
            ingredients: new.ingredients.clone(),
            notes: new.notes.clone(),
        };
        let folder = self.model_folder(&id.model)?;
        disk::create_folder(&folder)?;
        disk::create_folder(&folder.join("versions"))?;
        // Everything it names is on disk; with the manifest, the version is there.
        VersionFile::write(&self.manifest_path(&id, ".json")?, manifest)?;
        Ok(id)
    }

    fn put_results(
        &self,
        results: &Results,
        files_sha256: &str,
        id: &VersionId,
    ) -> Result<String, RegistryError> {
        let mut results = results.clone();
        let about = results
            .files_sha256
            .get_or_insert_with(|| files_sha256.into());
        if about != files_sha256 {
            return Err(RegistryError::OtherFiles {
                results: about.clone(),
                files: files_sha256.into(),
            });
        }
        let json = results.to_json().map_err(|source| RegistryError::Results {
            id: id.clone(),
            source: Box::new(source),
        })?;
        self.objects.put_bytes(json.as_bytes())
    }

    /// One more than any number that was ever used, retired versions included.
    fn next_version(&self, model: &str) -> Result<u64, RegistryError> {
        let live = self.numbers(model, ".json")?;
        let retired = self.numbers(model, ".retired.json")?;
        Ok(live.into_iter().chain(retired).max().unwrap_or(0) + 1)
    }
}
