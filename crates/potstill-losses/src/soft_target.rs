//! Matching the teacher's next-token distribution.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};
use potstill_kernels::{HeadRows, LogitRows, RowLoss};

use crate::error::{check_chunk_rows, check_temperature, check_weight};
use crate::{Blend, Divergence, Error};

/// Settings of [`SoftTarget`].
#[derive(Config, Debug)]
pub struct SoftTargetConfig {
    /// How far the student is from the teacher.
    pub divergence: Divergence,
    /// Divides both logits. No factor τ² is applied: the gradient shrinks with it.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl SoftTargetConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the temperature is not positive, the weight is negative, or a chunk has no row.
    pub fn init(&self) -> Result<SoftTarget, Error> {
        Ok(SoftTarget {
            divergence: self.divergence,
            temperature: check_temperature(self.temperature)?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// A [`Divergence`] from the teacher's distribution to the student's, on the rows that count.
///
/// Logs one term, named after the divergence. Built by [`SoftTargetConfig`].
#[derive(Module, Debug)]
pub struct SoftTarget {
    #[module(skip)]
    divergence: Divergence,
    temperature: f64,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl SoftTarget {
    /// At temperature 1 with weight 1.
    #[must_use]
    pub fn new(divergence: Divergence) -> Self {
        Self {
            divergence,
            temperature: 1.0,
            weight: 1.0,
            chunk_rows: None,
        }
    }

    fn parts(&self) -> Blend {
        Blend::soft(self.divergence, self.temperature)
    }
}

impl RowLoss for SoftTarget {
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

impl Objective for SoftTarget {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        terms.push(LossTerm {
            name: self.divergence.name().into(),
            weight: self.weight,
            sum: sum_over_rows(self, &input, None, self.chunk_rows),
        });
    }
}

/// `Σ row weight · loss` of an objective's input.
pub(crate) fn sum_over_rows(
    loss: &impl RowLoss,
    input: &ObjectiveInput<'_>,
    targets: Option<&Tensor<1, Int>>,
    chunk_rows: Option<usize>,
) -> Tensor<1> {
    let rows = HeadRows {
        hidden: &input.student.hidden,
        head: &input.student.head,
        teacher: &input.teacher.prediction,
        targets,
        chunk_rows,
    };
    rows.weighted_sum(loss, input.batch.rows.weights.as_ref())
}
