//! Evaluation during training: which student is best, and when to give up.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BoxError, EarlyStop, Error};

/// Named results of an evaluation.
pub type Metrics = BTreeMap<String, f64>;

/// The metric that decides which student is best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    metric: String,
    better: Better,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
}

impl Watch {
    /// Lower is better, as for a loss.
    #[must_use]
    pub fn lowest(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            better: Better::Lower,
        }
    }

    /// Higher is better, as for an accuracy.
    #[must_use]
    pub fn highest(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            better: Better::Higher,
        }
    }

    /// How much better `value` is than `reference`; negative when it is worse.
    fn gain(&self, value: f64, reference: f64) -> f64 {
        match self.better {
            Better::Lower => reference - value,
            Better::Higher => value - reference,
        }
    }
}

type Evaluate<S> = dyn FnMut(&S) -> Result<Metrics, BoxError>;

/// What a caller evaluates, and what of it is watched.
pub(crate) struct Evaluation<S> {
    pub(crate) watch: Watch,
    run: Box<Evaluate<S>>,
}

impl<S> Evaluation<S> {
    pub(crate) fn new(
        watch: Watch,
        run: impl FnMut(&S) -> Result<Metrics, BoxError> + 'static,
    ) -> Self {
        Self {
            watch,
            run: Box::new(run),
        }
    }

    /// All metrics, measured unless they are `known`, and the value of the one that is watched.
    pub(crate) fn run(
        &mut self,
        student: &S,
        step: usize,
        known: Option<Metrics>,
    ) -> Result<(Metrics, f64), Error> {
        let metrics = match known {
            Some(metrics) => metrics,
            None => (self.run)(student).map_err(|source| Error::Evaluation { step, source })?,
        };
        match metrics.get(&self.watch.metric) {
            Some(&value) => Ok((metrics, value)),
            None => Err(Error::UnknownMetric {
                watched: self.watch.metric.clone(),
                reported: metrics.into_keys().collect(),
            }),
        }
    }
}

impl<S> fmt::Debug for Evaluation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluation")
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

/// The best student so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Finished steps.
    pub step: usize,
    /// The watched metric.
    pub value: f64,
}

/// What is remembered of the evaluations so far; part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    pub(crate) best: Option<Best>,
    /// Finished steps at the last evaluation.
    pub(crate) last_step: Option<usize>,
    /// The value that the next improvement is measured from.
    reference: Option<f64>,
    /// Evaluations in a row without an improvement.
    stale: usize,
}

impl Standing {
    /// Takes note of an evaluation; true when the student is the best so far.
    ///
    /// A value that is not finite is never the best and never an improvement.
    pub(crate) fn observe(
        &mut self,
        watch: &Watch,
        step: usize,
        value: f64,
        early_stop: Option<EarlyStop>,
    ) -> bool {
        self.last_step = Some(step);
        let min_delta = early_stop.map_or(0.0, |stop| stop.min_delta);
        let beats = |reference: Option<f64>, margin: f64| {
            value.is_finite() && reference.is_none_or(|old| watch.gain(value, old) > margin)
        };
        if beats(self.reference, min_delta) {
            self.reference = Some(value);
            self.stale = 0;
        } else {
            self.stale += 1;
        }
        let best = beats(self.best.map(|best| best.value), 0.0);
        if best {
            self.best = Some(Best { step, value });
        }
        best
    }

    pub(crate) fn is_over(&self, early_stop: Option<EarlyStop>) -> bool {
        early_stop.is_some_and(|stop| self.stale >= stop.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(watch: &Watch, stop: EarlyStop, values: &[f64]) -> (Standing, Vec<bool>) {
        let mut standing = Standing::default();
        let best = values
            .iter()
            .enumerate()
            .map(|(step, &value)| standing.observe(watch, step, value, Some(stop)))
            .collect();
        (standing, best)
    }

    #[test]
    fn patience_counts_evaluations_without_an_improvement() {
        let stop = EarlyStop {
            patience: 2,
            min_delta: 0.0,
        };
        let watch = Watch::lowest("kl");
        let (standing, best) = observe(&watch, stop, &[3.0, 2.0, 2.5, 1.9, 1.9]);
        assert_eq!(best, [true, true, false, true, false]);
        assert!(!standing.is_over(Some(stop)));
        assert!(
            observe(&watch, stop, &[3.0, 3.0, 3.1])
                .0
                .is_over(Some(stop))
        );
    }

    #[test]
    fn a_small_gain_is_the_best_but_no_improvement() {
        let stop = EarlyStop {
            patience: 2,
            min_delta: 0.5,
        };
        let (standing, best) = observe(&Watch::highest("accuracy"), stop, &[1.0, 1.2, 1.4]);
        assert_eq!(best, [true, true, true]);
        assert!(standing.is_over(Some(stop)));
        assert_eq!(
            standing.best,
            Some(Best {
                step: 2,
                value: 1.4
            })
        );
        let (standing, _) = observe(&Watch::highest("accuracy"), stop, &[1.0, 1.4, 1.6]);
        assert!(!standing.is_over(Some(stop)), "slow gains add up");
    }

    #[test]
    fn a_value_that_is_not_finite_is_never_the_best() {
        let stop = EarlyStop {
            patience: 2,
            min_delta: 0.0,
        };
        let (standing, best) = observe(
            &Watch::lowest("kl"),
            stop,
            &[f64::NAN, 1.0, f64::NEG_INFINITY],
        );
        assert_eq!(best, [false, true, false]);
        assert_eq!(
            standing.best,
            Some(Best {
                step: 1,
                value: 1.0
            })
        );
    }
}
