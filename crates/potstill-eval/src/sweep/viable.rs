//! The smallest model that is good enough.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Sweep, SweepError};
use crate::number::{significant, thousands};
use crate::{Baseline, GateReport, Gates, Verdict};

/// A candidate and what became of the gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedCandidate {
    /// The candidate.
    pub name: String,
    /// Its parameters.
    pub parameters: u64,
    /// Bytes of its weights in memory.
    pub parameter_bytes: u64,
    /// What became of each gate.
    pub report: GateReport,
}

impl JudgedCandidate {
    /// Whether every gate holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.report.verdict() == Verdict::Passed
    }

    /// Each gate that does not hold, with what was found instead.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let outcomes = self.report.outcomes.iter();
        let missed = outcomes.filter(|outcome| outcome.verdict != Verdict::Passed);
        missed
            .map(|outcome| format!("{}: {}", outcome.rule, outcome.found))
            .collect()
    }
}

/// Every candidate before the gates: which is the smallest that passes, and why the others do not.
///
/// Size is what the weights take in memory; of two that take the same, the one with fewer parameters is
/// smaller. `Display` gives one line for each candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinimalViable {
    /// The candidates, the smallest first.
    pub candidates: Vec<JudgedCandidate>,
}

impl MinimalViable {
    /// The smallest candidate that passes every gate: the minimal viable model.
    #[must_use]
    pub fn smallest(&self) -> Option<&JudgedCandidate> {
        self.candidates.iter().find(|judged| judged.passed())
    }
}

impl fmt::Display for MinimalViable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let smallest = self.smallest();
        for judged in &self.candidates {
            let (name, parameters) = (&judged.name, thousands(judged.parameters));
            let megabytes = significant(judged.parameter_bytes as f64 / 1e6);
            write!(f, "{name}, {parameters} parameters, {megabytes} MB: ")?;
            if smallest == Some(judged) {
                writeln!(f, "passes, and is the smallest that does")?;
            } else if judged.passed() {
                writeln!(f, "passes")?;
            } else {
                writeln!(f, "{}", judged.reasons().join("; "))?;
            }
        }
        match smallest {
            Some(judged) => write!(f, "minimal viable model: {}", judged.name),
            None => write!(f, "minimal viable model: none, since no candidate passes"),
        }
    }
}

impl Sweep {
    /// Puts every candidate before `gates`, which may ask for its results and, by their
    /// [names](crate::Profile::metrics), for the numbers of its profile.
    ///
    /// `baseline` is what [`Gates::judge`] asks for.
    ///
    /// # Errors
    ///
    /// When there are no gates, or one makes no sense.
    pub fn minimal_viable(
        &self,
        gates: &Gates,
        mut baseline: impl FnMut(&str) -> Baseline,
    ) -> Result<MinimalViable, SweepError> {
        let mut judged = Vec::with_capacity(self.candidates.len());
        for candidate in &self.candidates {
            let profile = &candidate.outcome.profile;
            let results = candidate.outcome.results.clone().with_profile(profile);
            judged.push(JudgedCandidate {
                name: candidate.name.clone(),
                parameters: profile.parameters,
                parameter_bytes: profile.parameter_bytes,
                report: gates.judge(&results, &mut baseline)?,
            });
        }
        judged.sort_by_key(|judged| (judged.parameter_bytes, judged.parameters));
        Ok(MinimalViable { candidates: judged })
    }
}
