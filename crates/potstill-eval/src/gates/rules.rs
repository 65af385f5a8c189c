//! What must hold, as it stands in a file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::GateError;

const SCHEMA: &str = "potstill.gates/1";

/// Fewest items where a gate names no number.
pub(super) const FEWEST_ITEMS: usize = 30;

/// All gates of a file: what must hold before a model ships.
///
/// [`judge`](Self::judge) says of each rule whether it does. What cannot be judged never passes: a
/// metric that is missing or no number, too few items, a baseline that is not there or was measured on
/// other data, a misspelled key.
///
/// ```toml
/// schema = "potstill.gates/1"
///
/// [[threshold]]                # a number on its own
/// metric = "exact_match"
/// min = 0.9
/// bound = "interval"           # even the lower end of its 95 % interval
///
/// [[non_inferior]]             # not worse than a baseline by more than a margin, and surely so
/// metric = "exact_match"
/// to = "teacher.json"          # a file of results, or "@alias" of a registry
/// margin = 0.03
///
/// [[retained]]                 # the share of the teacher that is left
/// metric = "exact_match"
/// of = "teacher.json"
/// min = 0.95
///
/// [[no_regression]]            # not provably worse than what was stored
/// metric = "exact_match"
/// to = "@champion"
/// ```
///
/// ```
/// use potstill_eval::{Baseline, Better, Gates, Metric, Results, Verdict};
///
/// let gates = Gates::parse(
///     r#"
///     schema = "potstill.gates/1"
///     [[threshold]]
///     metric = "perplexity"
///     max = 12
///     "#,
/// )?;
/// let results = Results::new("student").with_metric("perplexity", Metric::of_value(Better::Lower, 11.4));
/// let report = gates.judge(&results, |name| Baseline::of_file(".".as_ref(), name))?;
/// assert_eq!(report.verdict(), Verdict::Passed);
///
/// // Whoever forgot to measure does not pass.
/// let report = gates.judge(&Results::new("student"), |_| Baseline::Unset)?;
/// assert_eq!(report.verdict().exit_code(), 1);
/// assert!(report.to_markdown().contains("the results have no metric perplexity"));
/// # Ok::<(), potstill_eval::GateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    schema: String,
    /// Level of the regression tests: the most likely it is that one of them fails although nothing is
    /// worse, with Holm's correction over all of them. The others need no correction: all must pass, so a
    /// model that is just short of one limit on an interval passes in about 2.5 % of the cases.
    /// Berger, *Multiparameter Hypothesis Testing and Acceptance Sampling*, Technometrics 24 (1982).
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Seed of everything that is drawn: the same results get the same verdict.
    #[serde(default)]
    pub seed: u64,
    /// Numbers on their own.
    #[serde(default)]
    pub threshold: Vec<Threshold>,
    /// Numbers beside a baseline's.
    #[serde(default)]
    pub non_inferior: Vec<NonInferior>,
    /// Numbers as a share of a baseline's.
    #[serde(default)]
    pub retained: Vec<Retained>,
    /// Numbers that must not become worse.
    #[serde(default)]
    pub no_regression: Vec<NoRegression>,
}

/// What a limit is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The value as it was measured.
    #[default]
    Value,
    /// The end of its 95 % interval that is nearer to the limit.
    Interval,
}

/// What happens while the alias of a baseline points nowhere, as it does before the first promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsetAlias {
    /// The gate cannot be judged.
    #[default]
    Refuse,
    /// The gate passes, and the report says why. So does one on an alias that is misspelled.
    Pass,
}

/// A metric lies between limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Name of the metric.
    pub metric: String,
    /// It is at least this.
    pub min: Option<f64>,
    /// It is at most this.
    pub max: Option<f64>,
    /// What the limits are held against.
    #[serde(default)]
    pub bound: Bound,
    /// Fewest items on which it must have been measured, 1 by default; a cluster of items counts as one,
    /// and so does a metric without items.
    #[serde(default = "one")]
    pub min_items: usize,
}

/// A metric is not worse than a baseline's by more than a margin, and the 95 % interval of the
/// difference says so too.
///
/// Where items are right or wrong and none are clustered, that is Newcombe's interval, which is as wide as
/// few items make it even where both models agree on all of them; otherwise it is a bootstrap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonInferior {
    /// Name of the metric.
    pub metric: String,
    /// The baseline: a file of results, or `@` and an alias.
    pub to: String,
    /// How much worse it may be, in the metric's own unit; more than 0, since no number of items shows
    /// that two models are exactly equal.
    pub margin: f64,
    /// Fewest items, a cluster counting as one, 30 by default: intervals of fewer are too narrow.
    #[serde(default = "fewest_items")]
    pub min_items: usize,
    /// See [`UnsetAlias`].
    #[serde(default)]
    pub unset_alias: UnsetAlias,
}

/// A metric of which more is better is at least a share of a baseline's. Its interval is of the same
/// kinds as that of [`NonInferior`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retained {
    /// Name of the metric.
    pub metric: String,
    /// The baseline, most often the teacher: a file of results, or `@` and an alias.
    pub of: String,
    /// The smallest share.
    pub min: f64,
    /// What it is held against.
    #[serde(default)]
    pub bound: Bound,
    /// Fewest items, a cluster counting as one, 30 by default.
    #[serde(default = "fewest_items")]
    pub min_items: usize,
    /// See [`UnsetAlias`].
    #[serde(default)]
    pub unset_alias: UnsetAlias,
}

/// A metric did not become worse.
///
/// Without [`tolerance`](Self::tolerance) it fails when the sign-flip test finds it worse at the level
/// of the file, which needs the scores of both models, and so many items that it could. With one it fails when the value is worse by
/// more than that, which is for what has no items: bytes, seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoRegression {
    /// Name of the metric.
    pub metric: String,
    /// The baseline: a file of results, or `@` and an alias.
    pub to: String,
    /// How much worse the value may be, in the metric's own unit.
    pub tolerance: Option<f64>,
    /// Fewest items on either side, a cluster counting as one, and so does a metric without items. 30 by
    /// default; with a tolerance that default is for metrics that have items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<usize>,
    /// See [`UnsetAlias`].
    #[serde(default)]
    pub unset_alias: UnsetAlias,
}

impl Gates {
    /// Reads a file of gates.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or [`parse`](Self::parse) refuses it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GateError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| GateError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Parses gates.
    ///
    /// # Errors
    ///
    /// When the text is no TOML, has an unknown key, lacks the schema, has no gate, or has one that makes
    /// no sense.
    pub fn parse(text: &str) -> Result<Self, GateError> {
        let gates: Self = toml::from_str(text)?;
        if gates.schema != SCHEMA {
            return Err(GateError::Schema {
                found: gates.schema,
                expected: SCHEMA,
            });
        }
        gates.validate()?;
        Ok(gates)
    }

    /// Fails for what no file may hold; fields are public, so [`judge`](Self::judge) asks again.
    pub(super) fn validate(&self) -> Result<(), GateError> {
        let gates = self.threshold.len()
            + self.non_inferior.len()
            + self.retained.len()
            + self.no_regression.len();
        if gates == 0 {
            return Err(GateError::None);
        }
        check(
            "alpha",
            "every",
            self.alpha > 0.0 && self.alpha < 1.0,
            "alpha",
            self.alpha,
            "between 0 and 1",
        )?;
        for gate in &self.threshold {
            let limits = [("min", gate.min), ("max", gate.max)];
            for (name, limit) in limits {
                let limit = limit.unwrap_or(0.0);
                check(
                    "threshold",
                    &gate.metric,
                    limit.is_finite(),
                    name,
                    limit,
                    "finite",
                )?;
            }
            let (min, max) = (
                gate.min.unwrap_or(f64::NEG_INFINITY),
                gate.max.unwrap_or(f64::INFINITY),
            );
            check(
                "threshold",
                &gate.metric,
                gate.min.or(gate.max).is_some(),
                "min",
                "missing",
                "given unless max is",
            )?;
            check(
                "threshold",
                &gate.metric,
                min <= max,
                "min",
                min,
                "at most max",
            )?;
        }
        for gate in &self.non_inferior {
            let is_margin = gate.margin.is_finite() && gate.margin > 0.0;
            check(
                "non_inferior",
                &gate.metric,
                is_margin,
                "margin",
                gate.margin,
                "more than 0",
            )?;
        }
        for gate in &self.retained {
            let is_share = gate.min.is_finite() && gate.min > 0.0;
            check(
                "retained",
                &gate.metric,
                is_share,
                "min",
                gate.min,
                "more than 0",
            )?;
        }
        for gate in &self.no_regression {
            let tolerance = gate.tolerance.unwrap_or(0.0);
            let is_tolerance = tolerance.is_finite() && tolerance >= 0.0;
            check(
                "no_regression",
                &gate.metric,
                is_tolerance,
                "tolerance",
                tolerance,
                "at least 0",
            )?;
        }
        Ok(())
    }
}

fn check(
    kind: &'static str,
    metric: &str,
    holds: bool,
    name: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> Result<(), GateError> {
    if holds {
        return Ok(());
    }
    Err(GateError::Rule {
        kind,
        metric: metric.into(),
        name,
        value: value.to_string(),
        expected,
    })
}

fn default_alpha() -> f64 {
    0.05
}

fn one() -> usize {
    1
}

fn fewest_items() -> usize {
    FEWEST_ITEMS
}
