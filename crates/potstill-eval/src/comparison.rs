//! How much of a teacher its student keeps, and how much of that is distillation's doing.
//!
//! ```text
//! retained   = accuracy(student) / accuracy(teacher)
//! gap closed = (accuracy(student) − accuracy(baseline)) / (accuracy(teacher) − accuracy(baseline))
//! ```

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Error, ExactMatch, Interval, PairedBootstrap};

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
        let reference = Outcomes::of(teacher)?;
        let student = Outcomes::of(student)?.in_order_of(&reference, "the student")?;
        let baseline = baseline
            .map(|baseline| Outcomes::of(baseline)?.in_order_of(&reference, "the baseline"))
            .transpose()?;
        let teacher: Vec<bool> = reference
            .order
            .iter()
            .map(|id| reference.correct[id])
            .collect();
        let retained = Share::of(
            teacher.len(),
            &bootstrap,
            |drawn| (correct(&student, drawn), correct(&teacher, drawn)),
            "the teacher answers nothing right",
        )?;
        let gap_closed = baseline
            .map(|baseline| {
                Share::of(
                    teacher.len(),
                    &bootstrap,
                    |drawn| {
                        let floor = correct(&baseline, drawn);
                        (
                            correct(&student, drawn) - floor,
                            correct(&teacher, drawn) - floor,
                        )
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
        items: usize,
        bootstrap: &PairedBootstrap,
        parts: impl Fn(&[usize]) -> (f64, f64),
        undefined: &str,
    ) -> Result<Self, Error> {
        let ratio = |drawn: &[usize]| {
            let (numerator, denominator) = parts(drawn);
            (denominator > 0.0).then(|| numerator / denominator)
        };
        let all: Vec<usize> = (0..items).collect();
        let Some(value) = ratio(&all) else {
            return Ok(Self {
                value: None,
                interval: None,
                reason: Some(undefined.into()),
            });
        };
        let resampled = bootstrap.interval(items, ratio)?;
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

fn correct(outcomes: &[bool], drawn: &[usize]) -> f64 {
    drawn.iter().filter(|&&item| outcomes[item]).count() as f64
}

struct Outcomes<'a> {
    order: Vec<&'a str>,
    correct: HashMap<&'a str, bool>,
}

impl<'a> Outcomes<'a> {
    fn of(measured: &'a ExactMatch) -> Result<Self, Error> {
        if measured.results.is_empty() {
            return Err(Error::Empty { what: "item" });
        }
        let order: Vec<&str> = measured
            .results
            .iter()
            .map(|result| result.id.as_str())
            .collect();
        let mut correct = HashMap::with_capacity(order.len());
        for result in &measured.results {
            if correct.insert(result.id.as_str(), result.correct).is_some() {
                return Err(Error::DuplicateItem {
                    id: result.id.clone(),
                });
            }
        }
        Ok(Self { order, correct })
    }

    fn in_order_of(&self, reference: &Self, name: &'static str) -> Result<Vec<bool>, Error> {
        let missing = |id: &str| Error::DifferentItems {
            id: id.into(),
            left: "the teacher",
            right: name,
        };
        if let Some(extra) = self
            .order
            .iter()
            .find(|id| !reference.correct.contains_key(*id))
        {
            return Err(missing(extra));
        }
        reference
            .order
            .iter()
            .map(|id| self.correct.get(id).copied().ok_or_else(|| missing(id)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
