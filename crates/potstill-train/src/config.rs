//! Settings of a training run.

use serde::{Deserialize, Serialize};

use crate::{AdamWConfig, Error, Schedule};

/// Settings of a [`Trainer`](crate::Trainer).
///
/// Reads from and writes to JSON; unknown keys are refused. Only `length` has no default.
///
/// ```
/// use potstill_train::{Length, TrainerConfig};
///
/// let config: TrainerConfig =
///     serde_json::from_str(r#"{ "length": { "steps": 200 }, "learning_rate": 3e-4 }"#)?;
/// assert_eq!(config, TrainerConfig { learning_rate: 3e-4, ..TrainerConfig::steps(200) });
///
/// let typo = r#"{ "length": { "steps": 200 }, "learning_rte": 3e-4 }"#;
/// assert!(serde_json::from_str::<TrainerConfig>(typo).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// How long to train.
    pub length: Length,
    /// Peak learning rate.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: AdamWConfig,
    /// Micro-batches of an optimizer step.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Puts the student on a device with gradient checkpointing, where the models of this workspace
    /// keep nothing of a block but its input, and compute it once more in the backward pass. Less
    /// memory, more time, the same gradients.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Bound on the norm of all gradients together.
    #[serde(default = "default_max_grad_norm")]
    pub max_grad_norm: Option<f64>,
    /// Steps between two evaluations. With an evaluation there is also one before the first and one
    /// after the last step.
    #[serde(default)]
    pub evaluate_every: Option<usize>,
    /// Stops when evaluations no longer improve.
    #[serde(default)]
    pub early_stop: Option<EarlyStop>,
    /// Steps between two checkpoints. A run in a folder also leaves one at its end.
    #[serde(default)]
    pub checkpoint_every: Option<usize>,
    /// Checkpoints to keep.
    #[serde(default = "default_keep_last")]
    pub keep_last: usize,
    /// Steps between two lines of `metrics.jsonl`.
    #[serde(default = "one")]
    pub log_every: usize,
    /// Seed. Before each step the random numbers of the student's device (dropout) are derived from
    /// it and the number of the step, so that they need no state to resume. Sources have their own.
    #[serde(default)]
    pub seed: u64,
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Optimizer steps.
    Steps(usize),
    /// Passes over the data of a source that knows how long one is.
    Epochs(usize),
}

/// When to give up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// Evaluations in a row without an improvement.
    pub patience: usize,
    /// What counts as an improvement of the watched metric: more than this.
    #[serde(default)]
    pub min_delta: f64,
}

impl TrainerConfig {
    /// Default settings for a number of optimizer steps.
    #[must_use]
    pub fn steps(steps: usize) -> Self {
        Self::new(Length::Steps(steps))
    }

    /// Default settings for a number of passes over the data.
    #[must_use]
    pub fn epochs(epochs: usize) -> Self {
        Self::new(Length::Epochs(epochs))
    }

    fn new(length: Length) -> Self {
        Self {
            length,
            learning_rate: default_learning_rate(),
            schedule: Schedule::default(),
            optimizer: AdamWConfig::default(),
            accumulation: 1,
            gradient_checkpointing: false,
            max_grad_norm: default_max_grad_norm(),
            evaluate_every: None,
            early_stop: None,
            checkpoint_every: None,
            keep_last: default_keep_last(),
            log_every: 1,
            seed: 0,
        }
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// Names the first one that does not, and what would.
    pub fn validate(&self) -> Result<(), Error> {
        let (length, n) = match self.length {
            Length::Steps(n) => ("length.steps", n),
            Length::Epochs(n) => ("length.epochs", n),
        };
        for (setting, value) in [
            (length, Some(n)),
            ("accumulation", Some(self.accumulation)),
            ("evaluate_every", self.evaluate_every),
            (
                "early_stop.patience",
                self.early_stop.map(|stop| stop.patience),
            ),
            ("checkpoint_every", self.checkpoint_every),
            ("keep_last", Some(self.keep_last)),
            ("log_every", Some(self.log_every)),
        ] {
            if value == Some(0) {
                return Err(Error::Config {
                    setting,
                    value: "0".into(),
                    expected: "at least 1",
                });
            }
        }
        for (setting, value) in [
            ("learning_rate", Some(self.learning_rate)),
            ("max_grad_norm", self.max_grad_norm),
        ] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                let expected = "a finite number above 0";
                return Err(Error::Config {
                    setting,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        let min_delta = self.early_stop.map_or(0.0, |stop| stop.min_delta);
        if !(min_delta.is_finite() && min_delta >= 0.0) {
            let (setting, expected) = ("early_stop.min_delta", "a finite number of at least 0");
            return Err(Error::Config {
                setting,
                value: min_delta.to_string(),
                expected,
            });
        }
        self.schedule.validate()?;
        self.optimizer.validate()
    }

    /// The learning rate of `step`, counted from 0.
    #[must_use]
    pub fn rate(&self, step: usize, total_steps: usize) -> f64 {
        self.learning_rate * self.schedule.factor(step, total_steps)
    }

    /// The settings in which `self` and `other` differ so that they train different students.
    ///
    /// `length` is not among them: a run may be made longer. What is only observed or saved may
    /// change as well.
    pub(crate) fn incompatibilities(&self, other: &Self) -> Vec<&'static str> {
        [
            ("learning_rate", self.learning_rate == other.learning_rate),
            ("schedule", self.schedule == other.schedule),
            ("optimizer", self.optimizer == other.optimizer),
            ("accumulation", self.accumulation == other.accumulation),
            ("max_grad_norm", self.max_grad_norm == other.max_grad_norm),
            ("seed", self.seed == other.seed),
        ]
        .into_iter()
        .filter_map(|(setting, same)| (!same).then_some(setting))
        .collect()
    }
}

fn default_learning_rate() -> f64 {
    1e-3
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "serde wants the type of the field"
)]
fn default_max_grad_norm() -> Option<f64> {
    Some(1.0)
}

fn default_keep_last() -> usize {
    2
}

fn one() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_json() {
        let config = TrainerConfig {
            learning_rate: 0.1 + 0.2,
            early_stop: Some(EarlyStop {
                patience: 3,
                min_delta: 1e-4,
            }),
            max_grad_norm: None,
            ..TrainerConfig::epochs(2)
        };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainerConfig>(&json).unwrap(),
            config
        );
    }

    #[test]
    fn settings_without_a_sense_are_named() {
        let base = || TrainerConfig::steps(10);
        for (config, message) in [
            (
                TrainerConfig::steps(0),
                "length.steps is 0, it must be at least 1",
            ),
            (
                TrainerConfig {
                    accumulation: 0,
                    ..base()
                },
                "accumulation is 0, it must be at least 1",
            ),
            (
                TrainerConfig {
                    learning_rate: f64::NAN,
                    ..base()
                },
                "learning_rate is NaN, it must be a finite number above 0",
            ),
            (
                TrainerConfig {
                    max_grad_norm: Some(-1.0),
                    ..base()
                },
                "max_grad_norm is -1, it must be a finite number above 0",
            ),
            (
                TrainerConfig {
                    optimizer: AdamWConfig {
                        beta_2: 1.0,
                        ..AdamWConfig::default()
                    },
                    ..base()
                },
                "optimizer.beta_2 is 1, it must be at least 0 and below 1",
            ),
        ] {
            assert_eq!(config.validate().unwrap_err().to_string(), message);
        }
        base().validate().unwrap();
    }
}
