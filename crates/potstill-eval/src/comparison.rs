//! How much of a teacher its student keeps, and how much of that is distillation's doing.
//!
//! ```text
//! retained   = accuracy(student) / accuracy(teacher)
//! gap closed = (accuracy(student) − accuracy(baseline)) / (accuracy(teacher) − accuracy(baseline))
//! ```

use serde::{Deserialize, Serialize};

use crate::clusters::Clusters;
use crate::{Error, ExactMatch, Interval, PairedBootstrap, Scores};

/// A ratio of accuracies with a 95 % interval, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The ratio; `None` where it is undefined.
    pub value: Option<f64>,
    /// The interval of a [`PairedBootstrap`]; `None` where it is undefined.
    pub interval: Option<Interval>,
    /// Why the value or the interval is missing.
    pub reason: Option<String>,
}

/// A student against its teacher, and against the same student without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of items that all were measured on.
    pub items: usize,
    /// `accuracy(student) / accuracy(teacher)`.
    pub retained: Share,
    /// `(student − baseline) / (teacher − baseline)`; `None` when there is no baseline.
    pub gap_closed: Option<Share>,
    /// How the intervals were drawn.
    pub bootstrap: PairedBootstrap,
}

impl Comparison {
    /// Compares models that were measured on the same items.
    ///
    /// # Errors
    ///
    /// When a model has no results, results of different items, or two results of one item.
    pub fn new(
        teacher: &ExactMatch,
        student: &ExactMatch,
        baseline: Option<&ExactMatch>,
        bootstrap: PairedBootstrap,
    ) -> Result<Self, Error> {
        Self::of_scores(
            &teacher.scores()?,
            &student.scores()?,
            baseline.map(ExactMatch::scores).transpose()?.as_ref(),
            bootstrap,
        )
    }

    /// The same for any metric of which more is better and 0 is nothing; clusters are drawn whole.
    ///
    /// # Errors
    ///
    /// When the scores are not of the same items, in the same clusters and categories.
    pub fn of_scores(
        teacher: &Scores,
        student: &Scores,
        baseline: Option<&Scores>,
        bootstrap: PairedBootstrap,
    ) -> Result<Self, Error> {
        let student = student.in_order_of(teacher, "the teacher", "the student")?;
        let baseline = baseline
            .map(|baseline| baseline.in_order_of(teacher, "the teacher", "the baseline"))
            .transpose()?;
        let clusters = teacher.clusters();
        let teacher: Vec<f64> = teacher.values().collect();
        let retained = Share::of(
            &clusters,
            &bootstrap,
            |drawn| (sum(&student, drawn), sum(&teacher, drawn)),
            "the teacher answers nothing right",
        )?;
        let gap_closed = baseline
            .map(|baseline| {
                Share::of(
                    &clusters,
                    &bootstrap,
                    |drawn| {
                        let floor = sum(&baseline, drawn);
                        (sum(&student, drawn) - floor, sum(&teacher, drawn) - floor)
                    },
                    "the baseline is as accurate as the teacher, so there is no gap to close",
                )
            })
            .transpose()?;
        Ok(Self {
            items: teacher.len(),
            retained,
            gap_closed,
            bootstrap,
        })
    }
}

impl Share {
    /// The ratio that `parts` gives for all items, with its interval. A denominator that is not
    /// positive leaves it undefined.
    fn of(
        clusters: &Clusters,
        bootstrap: &PairedBootstrap,
        parts: impl Fn(&[usize]) -> (f64, f64),
        undefined: &str,
    ) -> Result<Self, Error> {
        let ratio = |drawn: &[usize]| {
            let (numerator, denominator) = parts(drawn);
            (denominator > 0.0).then(|| numerator / denominator)
        };
        let Some(value) = ratio(&clusters.items()) else {
            return Ok(Self {
                value: None,
                interval: None,
                reason: Some(undefined.into()),
            });
        };
        if clusters.count() < 2 {
            return Ok(Self {
                value: Some(value),
                interval: None,
                reason: Some(
                    "no interval: all items are in one cluster, or there is only one".into(),
                ),
            });
        }
        let resampled = bootstrap.interval_of_clusters(clusters, ratio)?;
        let reason = resampled.interval.is_none().then(|| {
            format!(
                "no interval: the ratio is undefined in {} of {} resamples; measure on more items",
                resampled.undefined, bootstrap.resamples
            )
        });
        Ok(Self {
            value: Some(value),
            interval: resampled.interval,
            reason,
        })
    }
}

fn sum(values: &[f64], drawn: &[usize]) -> f64 {
    drawn.iter().map(|&item| values[item]).sum()
}

#[cfg(test)]
mod tests;
