//! A report: every number of an evaluation in one value, as JSON, as a table and as a page.

mod categories;
mod html;
mod pictures;
mod rows;
mod summary;
mod table;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    Calibration, Candidate, Chart, Comparison, Error, GateReport, HeldOut, MinimalViable, Pareto,
    Profile, Proportion, Provenance, Results, Sample, Suggestion,
};

const SCHEMA: &str = "potstill.report/1";

/// The part that a model plays in a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelRole {
    /// The one that taught.
    Teacher,
    /// The one that learned from it.
    Student,
    /// The same student before it learned anything.
    Undistilled,
    /// The same student, trained without the teacher.
    Baseline,
    /// Any other model, for comparison.
    Other,
}

/// What was measured of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Its part.
    pub role: ModelRole,
    /// Share of problems that it solves.
    pub exact_match: Option<Proportion>,
    /// How close it is to the teacher.
    pub held_out: Option<HeldOut>,
    /// Any other metrics, with intervals, and by category where their scores have some.
    #[serde(default)]
    pub results: Option<Results>,
    /// Whether it is right as often as it claims.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// What it costs.
    pub profile: Option<Profile>,
}

impl ModelReport {
    /// A model of which nothing is known yet.
    #[must_use]
    pub fn new(name: impl Into<String>, role: ModelRole) -> Self {
        Self {
            name: name.into(),
            role,
            exact_match: None,
            held_out: None,
            results: None,
            calibration: None,
            profile: None,
        }
    }
}

/// What a sweep found out about a candidate, as one model among others.
impl From<&Candidate> for ModelReport {
    fn from(candidate: &Candidate) -> Self {
        let outcome = &candidate.outcome;
        Self {
            results: Some(outcome.results.clone()),
            calibration: outcome.calibration.clone(),
            profile: Some(outcome.profile.clone()),
            ..Self::new(&candidate.name, ModelRole::Other)
        }
    }
}

/// Everything that an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    schema: String,
    /// Title.
    pub title: String,
    /// What was done, in a sentence or two.
    pub description: String,
    /// The models, in the order in which they are shown.
    pub models: Vec<ModelReport>,
    /// The student against the teacher and the baseline.
    pub comparison: Option<Comparison>,
    /// Models by quality and cost.
    #[serde(default)]
    pub paretos: Vec<Pareto>,
    /// Which of them is the smallest that passes the gates.
    #[serde(default)]
    pub viable: Option<MinimalViable>,
    /// What became of gates.
    #[serde(default)]
    pub gates: Vec<GateReport>,
    /// What the numbers suggest.
    #[serde(default)]
    pub suggestions: Vec<Suggestion>,
    /// Curves of the training run.
    pub charts: Vec<Chart>,
    /// Problems with the models' answers.
    pub samples: Vec<Sample>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

impl Report {
    /// A report on `models`, with nothing else yet.
    #[must_use]
    pub fn new(
        title: impl Into<String>,
        description: impl Into<String>,
        models: Vec<ModelReport>,
        provenance: Provenance,
    ) -> Self {
        Self {
            schema: SCHEMA.into(),
            title: title.into(),
            description: description.into(),
            models,
            comparison: None,
            paretos: Vec::new(),
            viable: None,
            gates: Vec::new(),
            suggestions: Vec::new(),
            charts: Vec::new(),
            samples: Vec::new(),
            provenance,
        }
    }

    /// The first model of this role.
    #[must_use]
    pub fn model(&self, role: ModelRole) -> Option<&ModelReport> {
        self.models.iter().find(|model| model.role == role)
    }

    /// The report as JSON, its [schema](Self::read_json) named inside.
    ///
    /// # Errors
    ///
    /// When the configuration inside the provenance has no JSON form.
    pub fn to_json(&self) -> Result<String, Error> {
        let mut json = serde_json::to_string_pretty(self).map_err(Error::Serialize)?;
        json.push('\n');
        Ok(json)
    }

    /// Writes the report as JSON: beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; what stood there before then stands there still.
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        crate::file::write_text(path.as_ref(), &self.to_json()?)
    }

    /// Reads a report that [`write_json`](Self::write_json) wrote. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not a report or follows another schema.
    pub fn read_json(path: impl AsRef<Path>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        let not_a_report = |source| Error::Json {
            path: path.into(),
            source,
        };
        let header: Header = serde_json::from_str(&text).map_err(not_a_report)?;
        if header.schema != SCHEMA {
            let found = header.schema;
            return Err(Error::Schema {
                path: path.into(),
                found,
                expected: SCHEMA,
            });
        }
        serde_json::from_str(&text).map_err(not_a_report)
    }

    /// Writes the report as one HTML file that needs nothing else: beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When a chart cannot be drawn or the file cannot be written; what stood there before then
    /// stands there still.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        crate::file::write_text(path.as_ref(), &self.to_html()?)
    }
}

#[cfg(test)]
mod tests;
