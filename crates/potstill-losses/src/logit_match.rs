//! Losses on logits that are not a divergence of two distributions, as an objective.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};
use potstill_kernels::{LogitRows, RowLoss};
use serde::{Deserialize, Serialize};

use crate::error::{check, check_chunk_rows, check_temperature, check_weight};
use crate::soft_target::sum_over_rows;
use crate::{Decoupled, DistInter, Divergence, Error, Interpolated, LogitMse, Standardized};

/// A loss on both models' logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LogitLoss {
    /// [`LogitMse`].
    Mse,
    /// [`Standardized`] with ε = 10⁻⁷.
    Standardized {
        /// How far the student is from the teacher.
        divergence: Divergence,
        /// Divides the standardized logits.
        temperature: f64,
    },
    /// [`Decoupled`].
    Decoupled {
        /// Weight of the label against the rest; the paper's is 1.
        alpha: f64,
        /// Weight of the distribution among the others; the paper's are 2 to 10.
        beta: f64,
        /// Divides both logits.
        temperature: f64,
    },
    /// [`DistInter`].
    DistInter {
        /// Divides both logits.
        temperature: f64,
    },
    /// [`Interpolated`] at a fixed time.
    Interpolated {
        /// From 0 (the student itself) to 1 (the teacher).
        time: f64,
    },
}

impl LogitLoss {
    /// The name under which it is logged.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mse => "logit_mse",
            Self::Standardized { .. } => "standardized",
            Self::Decoupled { .. } => "decoupled",
            Self::DistInter { .. } => "dist_inter",
            Self::Interpolated { .. } => "interpolated",
        }
    }

    fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Mse => {}
            Self::Standardized { temperature, .. } | Self::DistInter { temperature } => {
                check_temperature(temperature)?;
            }
            Self::Decoupled {
                alpha,
                beta,
                temperature,
            } => {
                for (name, value) in [("alpha", alpha), ("beta", beta)] {
                    let valid = value.is_finite() && value >= 0.0;
                    check(name, value, valid, "a finite number, 0 or more")?;
                }
                check_temperature(temperature)?;
            }
            Self::Interpolated { time } => {
                check("time", time, (0.0..=1.0).contains(&time), "between 0 and 1")?;
            }
        }
        Ok(())
    }

    fn loss(&self) -> Box<dyn RowLoss> {
        match *self {
            Self::Mse => Box::new(LogitMse),
            Self::Standardized {
                divergence,
                temperature,
            } => Box::new(Standardized {
                divergence,
                temperature,
                epsilon: 1e-7,
            }),
            Self::Decoupled {
                alpha,
                beta,
                temperature,
            } => Box::new(Decoupled {
                alpha,
                beta,
                temperature,
            }),
            Self::DistInter { temperature } => Box::new(DistInter { temperature }),
            Self::Interpolated { time } => Box::new(Interpolated { time }),
        }
    }
}

impl RowLoss for LogitLoss {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        self.loss().per_row(rows)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        self.loss().value_and_gradient(rows)
    }
}

/// Settings of [`LogitMatch`].
#[derive(Config, Debug)]
pub struct LogitMatchConfig {
    /// The loss.
    pub loss: LogitLoss,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl LogitMatchConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When a number is outside its range.
    pub fn init(&self) -> Result<LogitMatch, Error> {
        self.loss.validate()?;
        Ok(LogitMatch {
            loss: self.loss,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// A [`LogitLoss`] on the rows that count.
///
/// Logs one term, named after the loss. Built by [`LogitMatchConfig`].
#[derive(Module, Debug)]
pub struct LogitMatch {
    #[module(skip)]
    loss: LogitLoss,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Objective for LogitMatch {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let targets = input.batch.row_targets();
        terms.push(LossTerm {
            name: self.loss.name().into(),
            weight: self.weight,
            sum: sum_over_rows(&self.loss, &input, Some(&targets), self.chunk_rows),
        });
    }
}

#[cfg(test)]
mod tests;
