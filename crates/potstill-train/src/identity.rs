//! What a run is besides its settings: its objective and its batches.

use std::path::Path;

use potstill_core::Objective;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Error;

/// A longer description is kept as its hash.
const LONGEST: usize = 2000;

/// What must not change from one part of a run to the next. Empty where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunIdentity {
    objective: String,
    batches: Value,
}

impl RunIdentity {
    pub(crate) fn new<O: Objective>(objective: &O, batches: Value) -> Self {
        let taps = objective.taps();
        let text = without_parameter_ids(&format!("{objective:?}, {taps:?}"));
        let objective = if text.len() > LONGEST {
            format!("sha256:{:x}", Sha256::digest(text))
        } else {
            text
        };
        Self { objective, batches }
    }

    /// Whether `found` may continue the run at `path`, whose identity is this one.
    pub(crate) fn check(&self, found: &Self, path: &Path) -> Result<(), Error> {
        let changed = |what, saved: String, found: String| Error::RunChanged {
            path: path.to_owned(),
            what,
            saved,
            found,
        };
        if !self.objective.is_empty() && self.objective != found.objective {
            let (saved, found) = (self.objective.clone(), found.objective.clone());
            return Err(changed("objective", saved, found));
        }
        if !self.batches.is_null() && self.batches != found.batches {
            let (saved, found) = (self.batches.to_string(), found.batches.to_string());
            return Err(changed("batch source", saved, found));
        }
        Ok(())
    }
}

/// burn writes a parameter as `Param: ID - …`, and an id is another one in every process.
fn without_parameter_ids(text: &str) -> String {
    const NAME: &str = "Param: ";
    let mut parts = text.split(NAME);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("Param");
        clean.push_str(part.find(" - ").map_or(part, |end| &part[end..]));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ForwardKl, Hint};
    use serde_json::json;

    #[test]
    fn parameters_count_by_their_place_and_settings_by_their_value() {
        let identity = |weight| {
            let objective = (ForwardKl::weighted(weight), Hint::new(6, 8, 1));
            RunIdentity::new(&objective, json!({ "batch_size": 2 }))
        };
        assert_eq!(identity(1.0), identity(1.0));
        let error = identity(1.0)
            .check(&identity(0.5), Path::new("step-3"))
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("step-3 was made with another objective: "),
            "{message}"
        );
        assert!(message.contains("weight: 0.5"), "{message}");
    }
}
