//! How much of the student's own text it is ready for.
//!
//! ```text
//! loss ≥ reference + tolerance   ⇒   φ ← min(φ + increment, 1),  reference ← loss      at each evaluation
//! ```
//!
//! As long as the validation loss falls, data are good enough; when it rises, the student sees more of
//! what it writes itself. Ko et al., *DistiLLM*, arXiv:2402.03898, section 3.2. The reference moves only
//! with φ, as in the released code.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{check, check_share};
use crate::{BoxError, Callback, Error, Event, Flow};

/// Settings of an [`AdaptiveShare`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveShareOptions {
    /// The loss among the metrics of an evaluation.
    pub metric: String,
    /// φ before the first rise.
    pub initial: f64,
    /// What φ rises by.
    pub increment: f64,
    /// What the loss must rise by.
    pub tolerance: f64,
}

impl AdaptiveShareOptions {
    /// The paper's: from 0 in steps of 0.1, when the loss is 0.1 higher.
    #[must_use]
    pub fn new(metric: impl Into<String>) -> Self {
        Self {
            metric: metric.into(),
            initial: 0.0,
            increment: 0.1,
            tolerance: 0.1,
        }
    }
}

/// φ of DistiLLM, the share of the student's text: a handle that a [`ReplayedRollouts`](crate::ReplayedRollouts)
/// reads and that, as a [`Callback`], learns the validation loss.
///
/// Its state is saved and restored with the source.
///
/// ```text
/// let objective = SoftTarget::new(Divergence::skew_forward_kl(0.1)?);
/// let share = AdaptiveShare::new(AdaptiveShareOptions::new("loss"))?;
/// let source = ReplayedRollouts::new(loader, options, pad, &device, share.clone(), replay)?;
/// Trainer::new(config, student, objective, teacher, source)?
///     .evaluation(Watch::lowest("loss"), evaluate)
///     .callback(share)
/// ```
#[derive(Clone, Debug)]
pub struct AdaptiveShare {
    options: AdaptiveShareOptions,
    known: Arc<Mutex<Known>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    rises: u32,
    reference: Option<f64>,
}

impl AdaptiveShare {
    /// A share that no evaluation has moved yet.
    ///
    /// # Errors
    ///
    /// When a share is not between 0 and 1 or the tolerance is negative.
    pub fn new(options: AdaptiveShareOptions) -> Result<Self, Error> {
        check_share("initial", options.initial)?;
        check_share("increment", options.increment)?;
        let tolerance = options.tolerance;
        let is_valid = tolerance.is_finite() && tolerance >= 0.0;
        check(
            "tolerance",
            tolerance,
            is_valid,
            "a finite number, 0 or more",
        )?;
        Ok(Self {
            options,
            known: Arc::default(),
        })
    }

    /// φ as it is now.
    #[must_use]
    pub fn value(&self) -> f64 {
        let rises = f64::from(self.known().rises);
        (self.options.initial + rises * self.options.increment).min(1.0)
    }

    /// Takes note of a validation loss; one that is not finite is passed over.
    pub fn observe(&self, loss: f64) {
        if !loss.is_finite() {
            return;
        }
        let mut known = self.known();
        let reference = *known.reference.get_or_insert(loss);
        if known.reference != Some(loss) && loss >= reference + self.options.tolerance {
            known.rises += 1;
            known.reference = Some(loss);
        }
    }

    pub(super) fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(*self.known())?)
    }

    pub(super) fn restore(&self, state: &Value) -> Result<(), BoxError> {
        *self.known() = serde_json::from_value(state.clone())?;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callback for AdaptiveShare {
    fn on_event(&mut self, event: &Event<'_>) -> Flow {
        if let Event::Evaluated { metrics, .. } = event {
            match metrics.get(&self.options.metric) {
                Some(&loss) => self.observe(loss),
                None => tracing::warn!(
                    metric = self.options.metric,
                    "the evaluation has no such metric, so the student's share stays as it is"
                ),
            }
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(losses: &[f64]) -> Vec<f64> {
        let share = AdaptiveShare::new(AdaptiveShareOptions::new("loss")).unwrap();
        losses
            .iter()
            .map(|&loss| {
                share.observe(loss);
                share.value()
            })
            .collect()
    }

    #[test]
    fn the_share_rises_with_the_loss_and_never_falls() {
        let found = shares(&[2.0, 1.5, 2.05, 2.15, 2.2, f64::NAN, 2.4, 1.0]);
        assert_eq!(found, [0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.2, 0.2]);
        let rising: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(shares(&rising).last(), Some(&1.0));
    }

    #[test]
    fn a_loss_that_stays_moves_nothing_even_without_tolerance() {
        let options = AdaptiveShareOptions {
            tolerance: 0.0,
            ..AdaptiveShareOptions::new("loss")
        };
        let share = AdaptiveShare::new(options).unwrap();
        (0..3).for_each(|_| share.observe(1.0));
        assert_eq!(share.value(), 0.0);
        share.observe(1.001);
        assert_eq!(share.value(), 0.1);
    }

    #[test]
    fn settings_outside_their_range_are_refused() {
        let refused = AdaptiveShare::new(AdaptiveShareOptions {
            increment: 1.5,
            ..AdaptiveShareOptions::new("loss")
        });
        assert_eq!(
            refused.unwrap_err().to_string(),
            "increment is 1.5, it must be between 0 and 1"
        );
    }
}
