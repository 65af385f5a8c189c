//! Soft targets and labels together.
//!
//! ```text
//! L = α · τ² · KL(softmax(z_T/τ) ‖ softmax(z_S/τ)) + (1 − α) · CE(y, softmax(z_S))
//! ∂L/∂z_S = α · τ · (q_τ − p_τ) + (1 − α) · (q_1 − onehot(y))
//! ```
//!
//! The factor τ² keeps the soft gradient comparable across temperatures.
//! Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};

use crate::error::{check_chunk_rows, check_share, check_temperature, check_weight};
use crate::soft_target::sum_over_rows;
use crate::{Blend, CrossEntropy, Divergence, Error, HardPart, LogitRows, RowLoss, SoftPart};

/// Settings of [`Hinton`].
#[derive(Config, Debug)]
pub struct HintonConfig {
    /// τ, divides both logits of the soft part.
    #[config(default = 2.0)]
    pub temperature: f64,
    /// α, the share of the soft part.
    #[config(default = 0.5)]
    pub alpha: f64,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl HintonConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the temperature is not positive, α is not between 0 and 1, the weight is negative, or a
    /// chunk has no row.
    pub fn init(&self) -> Result<Hinton, Error> {
        Ok(Hinton {
            temperature: check_temperature(self.temperature)?,
            alpha: check_share("alpha", self.alpha)?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// Forward KL at a temperature, times its square, plus cross-entropy against the labels; one pass
/// over the logits for both.
///
/// Logs one term, `hinton`. Built by [`HintonConfig`].
#[derive(Module, Debug)]
pub struct Hinton {
    temperature: f64,
    alpha: f64,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Hinton {
    /// Both parts, for one pass over the logits.
    fn parts(&self) -> Blend {
        Blend {
            soft: Some(SoftPart {
                divergence: Divergence::ForwardKl,
                temperature: self.temperature,
                factor: self.alpha * self.temperature * self.temperature,
            }),
            hard: Some(HardPart {
                cross_entropy: CrossEntropy::default(),
                factor: 1.0 - self.alpha,
            }),
        }
    }
}

impl RowLoss for Hinton {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        self.parts().per_row(rows)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        self.parts().value_and_gradient(rows)
    }

    fn blend(&self) -> Option<Blend> {
        Some(self.parts())
    }
}

impl Objective for Hinton {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let targets = input.batch.row_targets();
        terms.push(LossTerm {
            name: "hinton".into(),
            weight: self.weight,
            sum: sum_over_rows(self, &input, Some(&targets), self.chunk_rows),
        });
    }
}
