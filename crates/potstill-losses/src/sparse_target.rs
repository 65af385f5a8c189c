//! Matching a teacher that names only a few tokens of each row.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput};
use potstill_kernels::HeadRows;

use crate::error::{check_chunk_rows, check_weight};
use crate::{Error, SparseDivergence};

/// Settings of [`SparseTarget`].
#[derive(Config, Debug)]
pub struct SparseTargetConfig {
    /// How the student is compared with the named tokens.
    pub divergence: SparseDivergence,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl SparseTargetConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the weight is negative or a chunk has no row.
    pub fn init(&self) -> Result<SparseTarget, Error> {
        Ok(SparseTarget {
            divergence: self.divergence,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// A [`SparseDivergence`] from a sparse prediction, such as a cache of the teacher's top k.
///
/// Logs one term, named after the divergence. Panics on a prediction that is not sparse. Built by
/// [`SparseTargetConfig`].
#[derive(Module, Debug)]
pub struct SparseTarget {
    #[module(skip)]
    divergence: SparseDivergence,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl Objective for SparseTarget {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let rows = HeadRows {
            hidden: &input.student.hidden,
            head: &input.student.head,
            teacher: &input.teacher.prediction,
            targets: None,
            chunk_rows: self.chunk_rows,
        };
        let weights = input.batch.rows.weights.as_ref();
        terms.push(LossTerm {
            name: self.divergence.name().into(),
            weight: self.weight,
            sum: rows.sparse_weighted_sum(&self.divergence, weights),
        });
    }
}
