//! One candidate of a sweep, and what became of it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SweepError;
use crate::{Calibration, ExactMatch, Profile, Proportion, Results};

const SCHEMA: &str = "potstill.candidate/1";

/// What was found out about a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How good it is.
    pub results: Results,
    /// What it costs.
    pub profile: Profile,
    /// Whether it is right as often as it claims.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// How much each of its blocks does, as `Importance::blocks` of `potstill-models` says.
    #[serde(default)]
    pub block_influence: Option<Vec<f64>>,
    /// How long its answers are.
    #[serde(default)]
    pub answers: Option<AnswerLengths>,
}

impl Outcome {
    /// Quality and cost, and nothing else.
    #[must_use]
    pub fn new(results: Results, profile: Profile) -> Self {
        Self {
            results,
            profile,
            calibration: None,
            block_influence: None,
            answers: None,
        }
    }
}

/// How long a model's answers are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerLengths {
    /// Mean number of tokens.
    pub mean_tokens: f64,
    /// Answers that were cut off at the most tokens that they may have.
    pub cut_off: Proportion,
}

impl ExactMatch {
    /// How long the answers were.
    ///
    /// # Panics
    ///
    /// Panics if there are no results; [`exact_match`](crate::exact_match) never returns none.
    #[must_use]
    pub fn lengths(&self) -> AnswerLengths {
        let tokens: usize = self.results.iter().map(|result| result.new_tokens).sum();
        let cut_off = self.results.iter().filter(|result| result.cut_off).count();
        AnswerLengths {
            mean_tokens: tokens as f64 / self.results.len() as f64,
            cut_off: Proportion::new(cut_off, self.results.len()),
        }
    }
}

/// Where an outcome comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// It was read back.
    #[default]
    Recalled,
    /// It was measured now.
    Measured,
    /// It was measured now, although there is an outcome of that name: of another recipe.
    RecipeChanged,
}

/// A candidate that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    schema: String,
    /// Its name.
    pub name: String,
    /// Everything that its outcome follows from.
    pub recipe: Value,
    /// What was found out.
    pub outcome: Outcome,
    /// Where that comes from.
    #[serde(skip)]
    pub origin: Origin,
}

impl Candidate {
    pub(super) fn new(name: &str, recipe: Value, outcome: Outcome, origin: Origin) -> Self {
        Self {
            schema: SCHEMA.into(),
            name: name.into(),
            recipe,
            outcome,
            origin,
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), SweepError> {
        let json = serde_json::to_vec_pretty(self).map_err(SweepError::Recipe)?;
        crate::file::write(path, &json).map_err(|source| SweepError::Write {
            path: path.into(),
            source,
        })
    }

    /// Reads an outcome back that is to be of this name and recipe.
    pub(super) fn read(path: &Path, name: &str, recipe: &Value) -> Result<Self, SweepError> {
        let bytes = std::fs::read(path).map_err(|source| SweepError::Read {
            path: path.into(),
            source,
        })?;
        let found: Self = serde_json::from_slice(&bytes).map_err(|source| SweepError::Json {
            path: path.into(),
            source,
        })?;
        let recipes = (found.recipe.to_string(), recipe.to_string());
        for (field, found, expected) in [
            ("schema", found.schema.as_str(), SCHEMA),
            ("name", found.name.as_str(), name),
            ("recipe", recipes.0.as_str(), recipes.1.as_str()),
        ] {
            if found != expected {
                return Err(SweepError::Foreign {
                    path: path.into(),
                    field,
                    found: found.into(),
                    expected: expected.into(),
                });
            }
        }
        Ok(found)
    }
}
