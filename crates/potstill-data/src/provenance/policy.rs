//! Which terms may train a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::PolicyError;

/// Whether what a model wrote may train another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It may.
    Yes,
    /// It may if the conditions are met, which takes an [`Acceptance`].
    Conditional,
    /// It may not.
    No,
}

/// Terms of use or a licence, as somebody read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What they are called.
    pub name: String,
    /// Where they stand.
    pub url: Option<String>,
    /// The day on which they were read, such as "2026-11-22": terms change.
    pub read_on: String,
    /// Whether they allow training.
    pub allows_training: Permission,
    /// The conditions, where there are some.
    pub conditions: Option<String>,
}

/// A decision to use records under some terms, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Why they may be used; it is kept with the model.
    pub reason: String,
}

/// A policy: terms, and decisions about them.
///
/// ```toml
/// people = true                      # records without a model behind them are allowed
///
/// [terms.apache]
/// name = "Apache License 2.0"
/// url = "https://www.apache.org/licenses/LICENSE-2.0"
/// read_on = "2026-11-22"
/// allows_training = "yes"
///
/// [terms.vendor]
/// name = "Vendor's terms of service"
/// read_on = "2026-11-22"
/// allows_training = "conditional"
/// conditions = "no competing model"
///
/// [accept.vendor]
/// reason = "the student answers questions about our own warehouse"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whether records that no model made are allowed.
    #[serde(default)]
    pub people: bool,
    /// Terms by id.
    #[serde(default)]
    pub terms: BTreeMap<String, Terms>,
    /// Decisions by the id of the terms.
    #[serde(default)]
    pub accept: BTreeMap<String, Acceptance>,
}

impl Policy {
    /// Reads a policy in TOML.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not a policy.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| PolicyError::Io {
            path: path.to_owned(),
            source,
        })?;
        let policy: Self = toml::from_str(&text).map_err(|source| PolicyError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        match policy
            .accept
            .keys()
            .find(|id| !policy.terms.contains_key(*id))
        {
            Some(id) => Err(PolicyError::UnknownAcceptance {
                path: path.to_owned(),
                id: id.clone(),
            }),
            None => Ok(policy),
        }
    }

    /// Why records under these terms may not be used; `None` where they may.
    pub(super) fn objection(&self, id: Option<&str>) -> Option<String> {
        let Some(id) = id else {
            return Some("the model's terms are not recorded".into());
        };
        let Some(terms) = self.terms.get(id) else {
            return Some(format!("the policy does not know the terms {id:?}"));
        };
        match (terms.allows_training, self.accept.contains_key(id)) {
            (Permission::Yes, _) | (Permission::Conditional, true) => None,
            (Permission::Conditional, false) => Some(format!(
                "{} ({id}) allow training on a condition ({}), and [accept.{id}] does not say why it is met",
                terms.name,
                terms.conditions.as_deref().unwrap_or("not written down"),
            )),
            (Permission::No, _) => Some(format!("{} ({id}) do not allow training", terms.name)),
        }
    }
}
