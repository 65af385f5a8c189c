//! Several students, one after another: which is good, which is small, and which is enough.

mod candidate;
mod error;
mod report;
mod viable;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Better, CostAxis, Metric, Pareto, ParetoPoint, sha256};

pub use candidate::{AnswerLengths, Candidate, Origin, Outcome};
pub use error::SweepError;
pub use viable::{JudgedCandidate, MinimalViable};

/// Letters of a recipe's hash that name its folder.
const HASH_LETTERS: usize = 16;

/// The outcomes of several candidates, each measured once.
///
/// A candidate is a name and a recipe: everything that its outcome follows from, such as sizes, steps
/// and seed. Its outcome is written before the next one begins, so that a sweep that was killed goes on
/// where it was. A recipe that changes in anything is another candidate, which is measured anew; the
/// outcome of the old one stays where it is.
///
/// ```text
/// FOLDER/NAME/HASH OF THE RECIPE/outcome.json     and whatever else the measurement leaves there
/// ```
///
/// One program at a time uses a folder.
///
/// ```
/// use potstill_eval::{Better, CostAxis, Gates, Baseline, Metric, Outcome, Results, Sweep};
/// # use potstill_eval::Profile;
/// # fn train_and_measure(layers: u32) -> Result<(f64, Profile), std::convert::Infallible> {
/// #     let json = format!(r#"{{"parameters": {layers}000, "parameter_bytes": {layers}000, "disk_bytes": null,
/// #         "latency_seconds": 0.5, "prefill_tokens_per_second": 100.0,
/// #         "generated_tokens_per_second": 20.0, "peak_rss_bytes": null, "prompts": 1,
/// #         "prompt_tokens": 3, "new_tokens": 4, "batch": 1, "repeats": 1}}"#);
/// #     Ok((1.0 - 0.5 / f64::from(layers), serde_json::from_str(&json).unwrap()))
/// # }
/// let folder = tempfile::tempdir()?;
/// let mut sweep = Sweep::open(folder.path())?;
/// for layers in [1, 2, 4] {
///     let recipe = serde_json::json!({"layers": layers, "seed": 7});
///     sweep.candidate(&format!("{layers}-layers"), &recipe, |_folder| {
///         let (accuracy, profile) = train_and_measure(layers)?;
///         let accuracy = Metric::of_value(Better::Higher, accuracy);
///         let results = Results::new(format!("{layers}-layers")).with_metric("accuracy", accuracy);
///         Ok::<_, std::convert::Infallible>(Outcome::new(results, profile))
///     })?;
/// }
/// let gates = Gates::parse(
///     r#"
///     schema = "potstill.gates/1"
///     [[threshold]]
///     metric = "accuracy"
///     min = 0.7
///     "#,
/// )?;
/// let viable = sweep.minimal_viable(&gates, |_| Baseline::Unset)?;
/// assert_eq!(viable.smallest().unwrap().name, "2-layers");
/// assert_eq!(sweep.pareto("accuracy", CostAxis::Size)?.front().count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sweep {
    folder: PathBuf,
    candidates: Vec<Candidate>,
}

impl Sweep {
    /// A sweep whose outcomes are kept in `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, SweepError> {
        let folder = folder.into();
        make(&folder)?;
        Ok(Self {
            folder,
            candidates: Vec::new(),
        })
    }

    /// The outcome of a candidate: read back if it is known, else what `measure` says, which is given
    /// a folder of its own to work in. After a kill, that folder may hold what was left there.
    ///
    /// # Errors
    ///
    /// When the name is no name of a folder or was used before, the recipe has no JSON form, `measure`
    /// fails, or the outcome cannot be written or read back.
    pub fn candidate<E>(
        &mut self,
        name: &str,
        recipe: &impl Serialize,
        measure: impl FnOnce(&Path) -> Result<Outcome, E>,
    ) -> Result<&Candidate, SweepError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !is_folder_name(name) {
            return Err(SweepError::Name { name: name.into() });
        }
        if self.candidates.iter().any(|other| other.name == name) {
            return Err(SweepError::Twice { name: name.into() });
        }
        let recipe = serde_json::to_value(recipe).map_err(SweepError::Recipe)?;
        let hash = sha256::of_bytes(recipe.to_string().as_bytes());
        let of_name = self.folder.join(name);
        let folder = of_name.join(&hash[..HASH_LETTERS]);
        let path = folder.join("outcome.json");
        let candidate = if path.exists() {
            Candidate::read(&path, name, &recipe)?
        } else {
            let origin = if has_outcome(&of_name) {
                Origin::RecipeChanged
            } else {
                Origin::Measured
            };
            make(&folder)?;
            let outcome = measure(&folder).map_err(|source| SweepError::Measure {
                name: name.into(),
                source: source.into(),
            })?;
            let candidate = Candidate::new(name, recipe, outcome, origin);
            candidate.write(&path)?;
            candidate
        };
        self.candidates.push(candidate);
        Ok(&self.candidates[self.candidates.len() - 1])
    }

    /// The candidates so far, in their order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The candidate of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Candidate> {
        self.candidates.iter().find(|found| found.name == name)
    }

    /// The candidates by a metric of their results and what they cost.
    ///
    /// A candidate that lacks one of the two stands nowhere; nor does one whose price is in another
    /// currency than the first's.
    ///
    /// # Errors
    ///
    /// When no candidate has the metric, or it was measured on different tasks.
    pub fn pareto(&self, metric: &str, axis: CostAxis) -> Result<Pareto, SweepError> {
        let better = self.direction(metric)?;
        let currency = |candidate: &Candidate| {
            let prices = candidate.outcome.profile.prices.as_ref();
            prices.map(|prices| prices.currency.clone())
        };
        let first_currency = self.candidates.iter().find_map(currency);
        let points = self.candidates.iter().map(|candidate| {
            let measured = candidate.outcome.results.metrics.get(metric);
            let comparable = axis != CostAxis::Price || currency(candidate) == first_currency;
            ParetoPoint {
                name: candidate.name.clone(),
                quality: measured.map_or(f64::NAN, |metric| metric.value),
                interval: measured.and_then(|metric| metric.interval),
                cost: axis
                    .of(&candidate.outcome.profile)
                    .filter(|_| comparable)
                    .unwrap_or(f64::NAN),
            }
        });
        Ok(Pareto::new(metric, better, axis, points.collect()))
    }

    /// Which way is up in a metric, if all candidates were asked the same.
    pub(crate) fn direction(&self, metric: &str) -> Result<Better, SweepError> {
        let measured: Vec<&Metric> = self
            .candidates
            .iter()
            .filter_map(|candidate| candidate.outcome.results.metrics.get(metric))
            .collect();
        let Some(first) = measured.first() else {
            let known = self.candidates.iter();
            let known = known.flat_map(|candidate| candidate.outcome.results.metrics.keys());
            let known: BTreeSet<&str> = known.map(String::as_str).collect();
            return Err(SweepError::Metric {
                metric: metric.into(),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            });
        };
        let same = |other: &&&Metric| other.task == first.task && other.better == first.better;
        if measured.iter().filter(same).count() < measured.len() {
            return Err(SweepError::Tasks {
                metric: metric.into(),
            });
        }
        Ok(first.better)
    }
}

fn make(folder: &Path) -> Result<(), SweepError> {
    std::fs::create_dir_all(folder).map_err(|source| SweepError::Write {
        path: folder.into(),
        source,
    })
}

/// Whether a candidate of this name was measured by any recipe.
fn has_outcome(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    let is_measured = |entry: std::fs::DirEntry| entry.path().join("outcome.json").exists();
    entries.filter_map(Result::ok).any(is_measured)
}

fn is_folder_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_allowed)
}

#[cfg(test)]
mod tests;
