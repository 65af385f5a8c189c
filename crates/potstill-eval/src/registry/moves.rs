//! Aliases, which only gates move forward.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::check_name;
use super::{Registry, RegistryError, VersionId, disk};
use crate::{GateReport, Gates, Verdict};

const SCHEMA: &str = "potstill.moves/1";

/// Why an alias moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MoveReason {
    /// The version passed the gates.
    Promoted {
        /// What they found.
        report: Box<GateReport>,
    },
    /// The version that it pointed to was no good.
    RolledBack {
        /// What somebody said about it.
        because: String,
    },
}

/// A move of an alias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The alias.
    pub alias: String,
    /// Where it points since then.
    pub version: u64,
    /// When it moved.
    pub at: Timestamp,
    /// Why.
    pub reason: MoveReason,
}

/// All moves, as they lie on disk. One file, so that a move and its reason are there or not together.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MovesFile {
    schema: String,
    moves: Vec<Move>,
}

impl Registry {
    /// Lets an alias point to a version, if the version passes `gates`.
    ///
    /// The gates judge the results that were saved with the version, on files whose hashes are checked
    /// now; baselines are looked up with [`baseline`](Self::baseline), files of results relative to
    /// `folder`. The alias moved if and only if the verdict is [`Verdict::Passed`]; then the report is
    /// kept with the move.
    ///
    /// # Errors
    ///
    /// When there is no such version, it has no results, its files are damaged, the gates make no sense, or
    /// the move cannot be written.
    pub fn promote(
        &self,
        id: &VersionId,
        alias: &str,
        gates: &Gates,
        folder: &Path,
    ) -> Result<GateReport, RegistryError> {
        check_name("an alias", alias)?;
        let _lock = self.lock()?;
        let manifest = self.manifest(id)?;
        for hash in manifest.objects() {
            self.objects.check(hash)?;
        }
        let results = self
            .results(id)?
            .ok_or_else(|| RegistryError::NoResults { id: id.clone() })?;
        let report = gates.judge(&results, |name| self.baseline(&id.model, folder, name))?;
        if report.verdict() == Verdict::Passed {
            let report = Box::new(report.clone());
            self.push_move(
                &id.model,
                alias,
                id.version,
                MoveReason::Promoted { report },
            )?;
        }
        Ok(report)
    }

    /// Lets an alias point again to the version before the one that it points to now, which passed its
    /// gates in its time; versions that were retired since are passed over.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the move cannot be written.
    pub fn roll_back(
        &self,
        model: &str,
        alias: &str,
        because: &str,
    ) -> Result<VersionId, RegistryError> {
        check_name("an alias", alias)?;
        let _lock = self.lock()?;
        let mut earlier = promotions(&self.moves(model)?, alias);
        earlier.pop();
        let live = self.versions(model)?;
        let id = earlier
            .into_iter()
            .rev()
            .find_map(|version| live.iter().find(|id| id.version == version).cloned());
        let id = id.ok_or_else(|| RegistryError::NoEarlierVersion {
            model: model.into(),
            alias: alias.into(),
        })?;
        let because = because.into();
        self.push_move(model, alias, id.version, MoveReason::RolledBack { because })?;
        Ok(id)
    }

    /// Every move of every alias of a model, oldest first.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or the name cannot be one of a model.
    pub fn moves(&self, model: &str) -> Result<Vec<Move>, RegistryError> {
        let path = self.model_folder(model)?.join("moves.json");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let file: MovesFile = disk::read_json(&path)?;
        disk::check_schema(&path, &file.schema, SCHEMA)?;
        Ok(file.moves)
    }

    /// The aliases of a model and the versions that they point to, by name.
    ///
    /// # Errors
    ///
    /// When the moves of the model cannot be read, or the name cannot be one of a model.
    pub fn aliases(&self, model: &str) -> Result<Vec<(String, VersionId)>, RegistryError> {
        let moves = self.moves(model)?.into_iter();
        let last: BTreeMap<String, u64> = moves.map(|step| (step.alias, step.version)).collect();
        let id = |version| VersionId {
            model: model.into(),
            version,
        };
        Ok(last
            .into_iter()
            .map(|(alias, version)| (alias, id(version)))
            .collect())
    }

    fn push_move(
        &self,
        model: &str,
        alias: &str,
        version: u64,
        reason: MoveReason,
    ) -> Result<(), RegistryError> {
        let mut moves = self.moves(model)?;
        moves.push(Move {
            alias: alias.into(),
            version,
            at: Timestamp::now(),
            reason,
        });
        let path = self.model_folder(model)?.join("moves.json");
        let schema = SCHEMA.into();
        disk::write_json(&path, &MovesFile { schema, moves })
    }
}

/// The versions that an alias would go back to one after the other; the last is where it points.
fn promotions(moves: &[Move], alias: &str) -> Vec<u64> {
    let mut stack = Vec::new();
    for step in moves.iter().filter(|step| step.alias == alias) {
        match step.reason {
            // Promoted again, it is still only one step back.
            MoveReason::Promoted { .. } if stack.last() == Some(&step.version) => {}
            MoveReason::Promoted { .. } => stack.push(step.version),
            MoveReason::RolledBack { .. } => {
                stack.pop();
                while stack.last().is_some_and(|version| *version != step.version) {
                    stack.pop();
                }
            }
        }
    }
    stack
}
