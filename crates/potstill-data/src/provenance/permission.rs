//! Whether records may be used, and what is to be said about them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Permission, Policy};
use crate::{Error, Record, write_jsonl};

/// Records that a message names before it only counts.
const NAMED: usize = 10;

/// Records that break a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: String,
    /// Numbers of the records, from 0.
    pub records: Vec<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self
            .records
            .iter()
            .take(NAMED)
            .map(ToString::to_string)
            .collect();
        write!(f, "{}: record {}", self.rule, named.join(", "))?;
        match self.records.len().checked_sub(NAMED) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// Why records may not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The policy cannot be read.
    #[error("cannot read the policy {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a policy.
    #[error("{} is not a policy", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A decision about terms that are not there.
    #[error("{}: [accept.{id}] is about terms that the policy does not have; add [terms.{id}]", path.display())]
    UnknownAcceptance {
        /// The file.
        path: PathBuf,
        /// The terms.
        id: String,
    },
    /// Records that must not be used.
    #[error("the policy does not allow these records:{}", list(.0))]
    NotAllowed(Vec<Violation>),
    /// The records cannot be written.
    #[error(transparent)]
    Write(#[from] Error),
}

fn list(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("\n- {violation}"))
        .collect()
}

/// What a model card says about the records that a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionSummary {
    /// Records.
    pub records: usize,
    /// Records that no model made.
    pub by_people: usize,
    /// Records by the model that made them; one that several made counts for each.
    pub by_model: BTreeMap<String, usize>,
    /// Records by the terms of their models.
    pub by_terms: BTreeMap<String, usize>,
    /// Terms that were accepted on a condition, with the reason.
    pub accepted: BTreeMap<String, String>,
    /// Whether every term allows training without a condition.
    pub unconditional: bool,
}

impl Policy {
    /// Whether records may train a model.
    ///
    /// # Errors
    ///
    /// When some may not: each rule that would be broken, with the numbers of the records.
    pub fn check<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<PermissionSummary, PolicyError> {
        let mut violations: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut summary = PermissionSummary {
            records: 0,
            by_people: 0,
            by_model: BTreeMap::new(),
            by_terms: BTreeMap::new(),
            accepted: BTreeMap::new(),
            unconditional: true,
        };
        for (index, record) in records.into_iter().enumerate() {
            summary.records += 1;
            let mut object = |rule: String| {
                let records = violations.entry(rule).or_default();
                if records.last() != Some(&index) {
                    records.push(index);
                }
            };
            match record.provenance() {
                Err(_) => object("meta.provenance is not a list of generations".into()),
                Ok(generations) if generations.is_empty() => {
                    summary.by_people += 1;
                    if !self.people {
                        object("it is not recorded which model made it; set people = true if people did".into());
                    }
                }
                Ok(generations) => {
                    for generation in generations {
                        *summary.by_model.entry(generation.model).or_default() += 1;
                        let terms = generation.terms;
                        if let Some(objection) = self.objection(terms.as_deref()) {
                            object(objection);
                        } else if let Some(id) = terms {
                            self.note(&mut summary, id);
                        }
                    }
                }
            }
        }
        if violations.is_empty() {
            return Ok(summary);
        }
        let violations = violations
            .into_iter()
            .map(|(rule, records)| Violation { rule, records })
            .collect();
        Err(PolicyError::NotAllowed(violations))
    }

    /// Writes records to a JSONL file if they may train a model.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and nothing is written then; or when the file cannot be written.
    pub fn export(
        &self,
        records: &[Record],
        path: impl AsRef<Path>,
    ) -> Result<PermissionSummary, PolicyError> {
        let summary = self.check(records)?;
        write_jsonl(path, records)?;
        Ok(summary)
    }

    fn note(&self, summary: &mut PermissionSummary, id: String) {
        if self
            .terms
            .get(&id)
            .is_some_and(|terms| terms.allows_training != Permission::Yes)
        {
            summary.unconditional = false;
            if let Some(acceptance) = self.accept.get(&id) {
                summary
                    .accepted
                    .insert(id.clone(), acceptance.reason.clone());
            }
        }
        *summary.by_terms.entry(id).or_default() += 1;
    }
}
