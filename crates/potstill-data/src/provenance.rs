//! Where a record comes from, and what it may be used for.
//!
//! A record that a model made carries a [`Provenance`] for each generation under
//! `meta.provenance`, and with it the terms under which the model answers. A [`Policy`] names those
//! terms and says which of them may train a model; [`Policy::check`] fails with the records and the
//! rule that they would break. Terms that the policy does not know are not allowed.

mod permission;
mod policy;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Record;

pub use permission::{PermissionSummary, PolicyError, Violation};
pub use policy::{Acceptance, Permission, Policy, Terms};

const KEY: &str = "provenance";

/// How a model made a record, or a part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The model, as it was asked for: a name with its version.
    pub model: String,
    /// Id of the terms under which it answers, as the policy names them.
    pub terms: Option<String>,
    /// Name of the prompt template.
    pub template: String,
    /// SHA-256 of the template, in hexadecimal.
    pub template_sha256: String,
    /// SHA-256 of the whole request, in hexadecimal.
    pub request_sha256: String,
    /// When it was asked.
    pub time: Timestamp,
    /// What else was set, such as temperature and seed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Id or content hash of the record that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_record: Option<String>,
}

impl Record {
    /// Notes another generation that this record is made of.
    pub fn add_provenance(&mut self, provenance: &Provenance) {
        let entry = serde_json::to_value(provenance).unwrap_or_default();
        match self.meta.get_mut(KEY) {
            Some(Value::Array(entries)) => entries.push(entry),
            _ => {
                self.meta.insert(KEY.to_owned(), Value::Array(vec![entry]));
            }
        }
    }

    /// The generations that this record is made of; none for a record written by people.
    ///
    /// # Errors
    ///
    /// When `meta.provenance` is there but is not a list of them.
    pub fn provenance(&self) -> Result<Vec<Provenance>, serde_json::Error> {
        match self.meta.get(KEY) {
            None => Ok(Vec::new()),
            Some(value) => serde_json::from_value(value.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
