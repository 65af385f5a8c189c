//! Is everything still what it was?

use std::path::PathBuf;

use super::objects::hash_of;
use super::{MoveReason, Registry, RegistryError, VersionId};
use crate::Verdict;

/// Something that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
}

impl Registry {
    /// Reads everything: manifests and their own hashes, all files and theirs, and whether each alias
    /// points to a version that is there and passed its gates. What is returned is what is wrong. Writers
    /// wait meanwhile.
    ///
    /// # Errors
    ///
    /// When the folders cannot be listed.
    pub fn verify(&self) -> Result<Vec<Damage>, RegistryError> {
        let _lock = self.lock()?;
        let mut damages = Vec::new();
        for model in self.models()? {
            for id in self.versions(&model)? {
                self.verify_version(&id, &mut damages)?;
            }
            for version in self.numbers(&model, ".retired.json")? {
                let model = model.clone();
                damages.extend(
                    self.retired(&VersionId { model, version })
                        .err()
                        .map(damage),
                );
            }
            self.verify_moves(&model, &mut damages)?;
        }
        Ok(damages)
    }

    fn verify_version(
        &self,
        id: &VersionId,
        damages: &mut Vec<Damage>,
    ) -> Result<(), RegistryError> {
        let manifest = match self.manifest(id) {
            Ok(manifest) => manifest,
            Err(error) => {
                damages.push(damage(error));
                return Ok(());
            }
        };
        let mut report = |problem: &str| -> Result<(), RegistryError> {
            damages.push(Damage {
                path: self.manifest_path(id, ".json")?,
                problem: problem.into(),
            });
            Ok(())
        };
        if hash_of(&manifest.files) != manifest.files_sha256 {
            report("its files do not have the hash that it says")?;
        }
        if let Ok(Some(results)) = self.results(id)
            && results.files_sha256.as_ref() != Some(&manifest.files_sha256)
        {
            report("its results are about other files")?;
        }
        damages.extend(
            manifest
                .objects()
                .filter_map(|hash| self.objects.check(hash).err())
                .map(damage),
        );
        Ok(())
    }

    fn verify_moves(&self, model: &str, damages: &mut Vec<Damage>) -> Result<(), RegistryError> {
        let moves = match self.moves(model) {
            Ok(moves) => moves,
            Err(error) => {
                damages.push(damage(error));
                return Ok(());
            }
        };
        let path = self.model_folder(model)?.join("moves.json");
        let mut report = |problem: String| {
            let path = path.clone();
            damages.push(Damage { path, problem });
        };
        let live = self.versions(model)?;
        for (alias, id) in self.aliases(model)? {
            if !live.contains(&id) {
                report(format!("@{alias} points to {id}, which is not there"));
            }
        }
        for step in moves {
            let MoveReason::Promoted { report: gates } = step.reason else {
                continue;
            };
            let (alias, version) = (step.alias, step.version);
            if gates.verdict() != Verdict::Passed {
                report(format!(
                    "@{alias} moved to version {version}, which passed no gate"
                ));
            }
            let id = live.iter().find(|id| id.version == version);
            let files = id.and_then(|id| Some(self.manifest(id).ok()?.files_sha256));
            if files.is_some() && gates.files_sha256 != files {
                report(format!(
                    "@{alias} moved to version {version} with a report on other files"
                ));
            }
        }
        Ok(())
    }
}

fn damage(error: RegistryError) -> Damage {
    match error {
        RegistryError::Damaged { path, problem } => Damage { path, problem },
        RegistryError::Io { path, source, .. } => Damage {
            path,
            problem: source.to_string(),
        },
        RegistryError::Json { path, source } => Damage {
            path,
            problem: source.to_string(),
        },
        other => Damage {
            path: PathBuf::new(),
            problem: other.to_string(),
        },
    }
}
