//! What could be done next, computed from the numbers.

mod costs;
mod curve;
mod quality;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::number::significant;

/// What a suggestion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SuggestionKind {
    /// Decoding is bound by reading the weights: at least half of what memory gives is read while
    /// single sequences are decoded.
    MemoryBound,
    /// Decoding is bound by neither memory nor arithmetic: it uses less than a fifth of both.
    OverheadBound,
    /// At least 40 % of the parameters belong to the vocabulary.
    VocabularyHeavy,
    /// A block has less than a quarter of the median block's influence.
    IdleBlocks,
    /// The model claims more or less than it keeps: the calibration error is above 5 %, and above
    /// twice what chance alone would show.
    Miscalibrated,
    /// At least 5 % of the answers are cut off.
    CutOff,
    /// A smaller candidate keeps at least 97 % of the best one's quality, by the unfavorable end of the
    /// 95 % interval of their difference.
    Saturated,
    /// Nothing is saturated, and the largest candidate is better than the next smaller one by the whole
    /// 95 % interval of their difference.
    StillRising,
}

/// A number that a suggestion stands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What it is, with its unit.
    pub name: String,
    /// The number.
    pub value: f64,
    /// What it was held against, where it was.
    pub threshold: Option<f64>,
}

impl Evidence {
    fn new(name: &str, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            threshold: None,
        }
    }

    fn against(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, significant(self.value))?;
        match self.threshold {
            Some(threshold) => write!(f, " (threshold {})", significant(threshold)),
            None => Ok(()),
        }
    }
}

/// Something worth trying, and the numbers that say so.
///
/// There is none without evidence: what was not measured is not suggested on. The thresholds stand at
/// [`SuggestionKind`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// The model that it is about.
    pub model: String,
    /// What it is about.
    pub kind: SuggestionKind,
    /// What was found and what could be done.
    pub text: String,
    /// The numbers.
    pub evidence: Vec<Evidence>,
}

/// The suggestion, and its evidence in brackets.
impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evidence: Vec<String> = self.evidence.iter().map(Evidence::to_string).collect();
        write!(f, "{}: {} [{}]", self.model, self.text, evidence.join("; "))
    }
}

impl Outcome {
    /// What the numbers of this model alone suggest.
    #[must_use]
    pub fn suggestions(&self) -> Vec<Suggestion> {
        let found = [
            costs::memory_or_overhead(&self.profile),
            costs::vocabulary(&self.profile),
            quality::idle_blocks(self.block_influence.as_deref()),
            quality::calibration(self.calibration.as_ref()),
            quality::cut_off(self.answers.as_ref()),
        ];
        let of_model = |(kind, text, evidence)| Suggestion {
            model: self.results.model.clone(),
            kind,
            text,
            evidence,
        };
        found.into_iter().flatten().map(of_model).collect()
    }
}

/// A suggestion on whatever model the numbers are of.
type Finding = (SuggestionKind, String, Vec<Evidence>);

#[cfg(test)]
mod tests;
