//! A/B: two models on the same items.

mod agreement;
mod categories;

use serde::{Deserialize, Serialize};

pub(crate) use self::agreement::Agreement;
use crate::clusters::{Clusters, mean};
use crate::{
    Error, Interval, McNemar, PairedBootstrap, Scores, SignFlips, smallest_detectable_effect,
};

/// How two models are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedOptions {
    /// Draws the interval of the difference.
    pub bootstrap: PairedBootstrap,
    /// Finds its p-value.
    pub flips: SignFlips,
    /// Level of the smallest detectable effect.
    pub alpha: f64,
    /// Power of the smallest detectable effect.
    pub power: f64,
}

impl PairedOptions {
    /// 10 000 resamples and flips, level 5 %, power 80 %.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            bootstrap: PairedBootstrap::new(seed),
            flips: SignFlips::new(seed),
            alpha: 0.05,
            power: 0.8,
        }
    }
}

/// What two models' scores on the same items say about their difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedTest {
    /// Number of items.
    pub items: usize,
    /// Number of clusters; as many as items where each stands for itself.
    pub clusters: usize,
    /// Mean score of the candidate.
    pub candidate: f64,
    /// Mean score of the reference.
    pub reference: f64,
    /// The candidate's mean less the reference's.
    pub difference: f64,
    /// The bootstrap's 95 % interval of the difference; `None` for a single cluster.
    pub interval: Option<Interval>,
    /// Standard error of the difference; `None` for a single cluster.
    pub standard_error: Option<f64>,
    /// Two-sided p-value of the sign-flip test.
    pub p_value: f64,
    /// The p-value among those of all categories (Benjamini-Hochberg); `None` for all items together.
    pub p_adjusted: Option<f64>,
    /// McNemar's test, where both models' scores are right or wrong and no items are clustered.
    pub mcnemar: Option<McNemar>,
    /// The smallest difference that these items would likely have shown, see
    /// [`smallest_detectable_effect`]; `None` where the differences do not vary, as when both models got
    /// the same everywhere.
    pub smallest_detectable_effect: Option<f64>,
}

/// A candidate against a reference: on all items, and within each category.
///
/// ```
/// use potstill_eval::{ItemScore, PairedComparison, PairedOptions, Scores};
///
/// let scores = |right: fn(usize) -> bool| {
///     let item = |n: usize| ItemScore::new(n.to_string(), if right(n) { 1.0 } else { 0.0 });
///     Scores::new((0..200).map(item).collect())
/// };
/// let (teacher, student) = (scores(|n| n % 10 != 0)?, scores(|n| n % 10 != 0 && n % 7 != 0)?);
///
/// let found = PairedComparison::new(&student, &teacher, &PairedOptions::new(0))?.overall;
/// assert!((found.difference + 0.13).abs() < 1e-9);
/// assert!(found.interval.is_some_and(|interval| interval.high < 0.0));
/// assert!(found.p_value < 0.001);
/// # Ok::<(), potstill_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// All items.
    pub overall: PairedTest,
    /// The items of each category, in the order in which they first occur.
    pub categories: Vec<(String, PairedTest)>,
    /// How it was computed.
    pub options: PairedOptions,
}

impl PairedComparison {
    /// Compares `candidate` with `reference`.
    ///
    /// # Errors
    ///
    /// When the scores are not of the same items, in the same clusters and categories, or there are no
    /// resamples or flips.
    ///
    /// # Panics
    ///
    /// Panics if `alpha` or `power` is not between 0 and 1.
    pub fn new(
        candidate: &Scores,
        reference: &Scores,
        options: &PairedOptions,
    ) -> Result<Self, Error> {
        let pairs = Pairs::of(candidate, reference)?;
        Ok(Self {
            overall: pairs.test(options)?,
            categories: categories::test(reference, &pairs, options)?,
            options: *options,
        })
    }
}

/// The scores of both models, item by item.
#[derive(Debug)]
pub(crate) struct Pairs {
    candidate: Vec<f64>,
    reference: Vec<f64>,
    clusters: Clusters,
}

impl Pairs {
    pub(crate) fn of(candidate: &Scores, reference: &Scores) -> Result<Self, Error> {
        Ok(Self {
            candidate: candidate.in_order_of(reference, "the reference", "the candidate")?,
            reference: reference.values().collect(),
            clusters: reference.clusters(),
        })
    }

    pub(crate) fn items(&self) -> usize {
        self.candidate.len()
    }

    /// Number of clusters, as many as items where each stands for itself.
    pub(crate) fn clusters(&self) -> usize {
        self.clusters.count()
    }

    pub(crate) fn differences(&self) -> Vec<f64> {
        let pairs = self.candidate.iter().zip(&self.reference);
        pairs
            .map(|(candidate, reference)| candidate - reference)
            .collect()
    }

    /// The interval of the mean difference; `None` for a single cluster, which cannot be resampled.
    pub(crate) fn interval(&self, bootstrap: &PairedBootstrap) -> Result<Option<Interval>, Error> {
        if self.clusters.count() < 2 {
            return Ok(None);
        }
        let differences = self.differences();
        let mean = |drawn: &[usize]| {
            Some(drawn.iter().map(|&item| differences[item]).sum::<f64>() / drawn.len() as f64)
        };
        Ok(bootstrap
            .interval_of_clusters(&self.clusters, mean)?
            .interval)
    }

    pub(crate) fn p_value(&self, flips: &SignFlips) -> Result<f64, Error> {
        flips.p_value(&self.clusters.sums(&self.differences()))
    }

    fn standard_error(&self) -> Option<f64> {
        self.clusters.standard_error(&self.differences())
    }

    /// `None` where the differences do not vary: what never varied here has no known error.
    pub(crate) fn smallest_detectable_effect(&self, alpha: f64, power: f64) -> Option<f64> {
        let error = self.standard_error().filter(|error| *error > 0.0)?;
        Some(smallest_detectable_effect(error, alpha, power))
    }

    /// Where both models' scores are right or wrong and no items are clustered.
    pub(crate) fn agreement(&self) -> Option<Agreement> {
        let is_binary = |values: &[f64]| values.iter().all(|value| *value == 0.0 || *value == 1.0);
        let alone = self.clusters.count() == self.items();
        (alone && is_binary(&self.candidate) && is_binary(&self.reference)).then(|| {
            let pairs = || self.candidate.iter().zip(&self.reference);
            let count = |own, other| pairs().filter(|pair| *pair == (&own, &other)).count();
            Agreement {
                both: count(1.0, 1.0),
                only_candidate: count(1.0, 0.0),
                only_reference: count(0.0, 1.0),
                neither: count(0.0, 0.0),
            }
        })
    }

    fn mcnemar(&self) -> Option<McNemar> {
        let found = self.agreement()?;
        Some(McNemar::exact(found.only_candidate, found.only_reference))
    }

    fn test(&self, options: &PairedOptions) -> Result<PairedTest, Error> {
        let differences = self.differences();
        Ok(PairedTest {
            items: self.items(),
            clusters: self.clusters.count(),
            candidate: mean(&self.candidate),
            reference: mean(&self.reference),
            difference: mean(&differences),
            interval: self.interval(&options.bootstrap)?,
            standard_error: self.standard_error(),
            p_value: self.p_value(&options.flips)?,
            p_adjusted: None,
            mcnemar: self.mcnemar(),
            smallest_detectable_effect: self
                .smallest_detectable_effect(options.alpha, options.power),
        })
    }
}

#[cfg(test)]
mod tests;
