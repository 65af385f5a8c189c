//! Learning rates as a function of the step.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Warm-up, then decay.
///
/// A pure function: resuming has no state to restore.
///
/// ```text
/// factor(step) = (step + 1) / warmup                                          step < warmup
///              = floor + (1 − floor) · decay((step − warmup) / (total − warmup))   otherwise
///
/// decay(x): constant 1,  linear 1 − x,  cosine (1 + cos πx) / 2
/// ```
///
/// `step` counts from 0, so that the first step already moves and the peak is reached by the last
/// step of the warm-up.
///
/// ```
/// use potstill_train::{Decay, Schedule};
///
/// let schedule = Schedule { warmup: 10, decay: Decay::Cosine, floor: 0.1 };
/// assert_eq!(schedule.factor(9, 110), 1.0);
/// assert!((schedule.factor(60, 110) - 0.55).abs() < 1e-12);
/// assert!((schedule.factor(110, 110) - 0.1).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// What follows.
    pub decay: Decay,
    /// Where decay ends, as a share of the peak.
    pub floor: f64,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// In a straight line.
    Linear,
    /// Along half a cosine (SGDR, arXiv:1608.03983, without restarts).
    Cosine,
}

impl Schedule {
    /// The learning rate of `step` (from 0) as a share of the peak.
    #[must_use]
    pub fn factor(&self, step: usize, total_steps: usize) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        let length = total_steps.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / length as f64).min(1.0);
        let left = match self.decay {
            Decay::Constant => return 1.0,
            Decay::Linear => 1.0 - progress,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.floor + (1.0 - self.floor) * left
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if (0.0..=1.0).contains(&self.floor) {
            return Ok(());
        }
        let expected = "between 0 and 1";
        Err(Error::Config {
            setting: "schedule.floor",
            value: self.floor.to_string(),
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_to_the_peak_without_a_wasted_step() {
        let schedule = Schedule {
            warmup: 4,
            decay: Decay::Linear,
            floor: 0.0,
        };
        let factors: Vec<f64> = (0..4).map(|step| schedule.factor(step, 10)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn every_decay_starts_at_the_peak_and_ends_at_its_floor() {
        for (decay, end) in [
            (Decay::Constant, 1.0),
            (Decay::Linear, 0.2),
            (Decay::Cosine, 0.2),
        ] {
            let schedule = Schedule {
                warmup: 3,
                decay,
                floor: 0.2,
            };
            assert_eq!(schedule.factor(3, 23), 1.0, "{decay:?}");
            assert!((schedule.factor(23, 23) - end).abs() < 1e-12, "{decay:?}");
            assert!((schedule.factor(99, 23) - end).abs() < 1e-12, "{decay:?}");
        }
    }

    #[test]
    fn decay_never_rises() {
        for decay in [Decay::Constant, Decay::Linear, Decay::Cosine] {
            let schedule = Schedule {
                warmup: 5,
                decay,
                floor: 0.1,
            };
            let factors: Vec<f64> = (5..60).map(|step| schedule.factor(step, 50)).collect();
            assert!(
                factors.windows(2).all(|pair| pair[1] <= pair[0]),
                "{decay:?}"
            );
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_run_is_all_warm_up() {
        let schedule = Schedule {
            warmup: 100,
            decay: Decay::Cosine,
            floor: 0.0,
        };
        assert_eq!(schedule.factor(9, 10), 0.1);
    }

    #[test]
    fn a_floor_above_the_peak_is_refused() {
        let error = Schedule {
            floor: 1.5,
            ..Schedule::default()
        }
        .validate()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "schedule.floor is 1.5, it must be between 0 and 1"
        );
    }
}
