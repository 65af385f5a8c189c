//! Learning from the tokens themselves.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Vocabulary, VocabularyMismatch};
use potstill_kernels::{LogitRows, RowLoss};

use crate::error::{check_chunk_rows, check_share, check_weight};
use crate::soft_target::sum_over_rows;
use crate::{Blend, CrossEntropy, Error};

/// Settings of [`HardTarget`].
#[derive(Config, Debug)]
pub struct HardTargetConfig {
    /// Share of the label that is spread over the vocabulary.
    #[config(default = 0.0)]
    pub smoothing: f64,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Rows whose logits exist at a time; chosen by the size of the vocabulary unless given.
    pub chunk_rows: Option<usize>,
}

impl HardTargetConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When the smoothing is not between 0 and 1, the weight is negative, or a chunk has no row.
    pub fn init(&self) -> Result<HardTarget, Error> {
        Ok(HardTarget {
            smoothing: check_share("smoothing", self.smoothing)?,
            weight: check_weight(self.weight)?,
            chunk_rows: check_chunk_rows(self.chunk_rows)?,
        })
    }
}

/// [`CrossEntropy`] against the tokens of the batch: training without a teacher, or, where the text
/// is the teacher's, sequence-level distillation.
///
/// Logs one term, `cross_entropy`. Built by [`HardTargetConfig`].
#[derive(Module, Debug)]
pub struct HardTarget {
    smoothing: f64,
    weight: f64,
    chunk_rows: Option<usize>,
}

impl HardTarget {
    /// Without smoothing, with weight 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            smoothing: 0.0,
            weight: 1.0,
            chunk_rows: None,
        }
    }

    fn cross_entropy(&self) -> CrossEntropy {
        CrossEntropy {
            smoothing: self.smoothing,
        }
    }
}

impl Default for HardTarget {
    fn default() -> Self {
        Self::new()
    }
}

impl RowLoss for HardTarget {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        self.cross_entropy().per_row(rows)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        self.cross_entropy().value_and_gradient(rows)
    }

    fn needs_teacher(&self) -> bool {
        false
    }

    fn blend(&self) -> Option<Blend> {
        Some(Blend::hard(self.cross_entropy()))
    }
}

impl Objective for HardTarget {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let targets = input.batch.row_targets();
        terms.push(LossTerm {
            name: "cross_entropy".into(),
            weight: self.weight,
            sum: sum_over_rows(self, &input, Some(&targets), self.chunk_rows),
        });
    }

    /// Any teacher will do: the text is all that is learned from. Only the student's own head is
    /// looked at, cut to its tokenizer where that is known.
    fn shared_vocabulary(
        &self,
        student: &Vocabulary,
        _teacher: &Vocabulary,
    ) -> Result<usize, VocabularyMismatch> {
        Vocabulary::shared(student, student)
    }
}
