//! Matching attention maps layer by layer.
//!
//! ```text
//! L(row) = mean over pairs and heads of  Σ_j t_j (log t_j − log s_j)
//! ```
//!
//! over the keys j that the query of the row may see. Wang et al., *MiniLM*, arXiv:2002.10957, match
//! the last layer only. Student and teacher need the same number of heads.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Rows, Taps};

use crate::Error;
use crate::error::check_weight;
use crate::feature::attention_kl_per_query;

/// Settings of [`AttentionMatch`].
#[derive(Config, Debug)]
pub struct AttentionMatchConfig {
    /// Which block of the student learns from which of the teacher, as (student, teacher), from 0.
    pub pairs: Vec<(usize, usize)>,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
}

impl AttentionMatchConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When there is no pair or the weight is negative.
    pub fn init(&self) -> Result<AttentionMatch, Error> {
        if self.pairs.is_empty() {
            return Err(Error::Empty {
                name: "pairs",
                expected: "(student, teacher) pair",
            });
        }
        Ok(AttentionMatch {
            pairs: self.pairs.clone(),
            weight: check_weight(self.weight)?,
        })
    }
}

/// KL divergence between attention probabilities, for the queries of the rows that count.
///
/// Logs one term, `attention_kl`. Built by [`AttentionMatchConfig`].
#[derive(Module, Debug)]
pub struct AttentionMatch {
    #[module(skip)]
    pairs: Vec<(usize, usize)>,
    weight: f64,
}

impl Objective for AttentionMatch {
    fn taps(&self) -> (Taps, Taps) {
        (
            Taps::attention(self.pairs.iter().map(|pair| pair.0)),
            Taps::attention(self.pairs.iter().map(|pair| pair.1)),
        )
    }

    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let rows = &input.batch.rows;
        let sums = self.pairs.iter().map(|&(student, teacher)| {
            let student = input.student.tapped.attention(student);
            let teacher = input.teacher.tapped.attention(teacher);
            rows.weighted_sum(of_rows(rows, attention_kl_per_query(student, teacher)))
        });
        let sum = sums
            .reduce(|total, sum| total + sum)
            .expect("there is at least one pair");
        terms.push(LossTerm {
            name: "attention_kl".into(),
            weight: self.weight,
            sum: sum * (self.pairs.len() as f64).recip(),
        });
    }
}

/// The mean over heads at the rows that count, from `[batch, n_heads, seq]`.
fn of_rows(rows: &Rows, values: Tensor<3>) -> Tensor<1> {
    rows.select(values.swap_dims(1, 2))
        .mean_dim(1)
        .squeeze_dim::<1>(1)
}

#[cfg(test)]
mod tests {
    use potstill_core::{
        LmHead, Prediction, StudentView, Tapped, TeacherSignal, TokenBatch, TokenRow,
    };
    use potstill_testkit::{Tolerance, assert_close, plain_device, values};

    use super::*;

    fn tapped(maps: [[[f32; 2]; 2]; 2]) -> Tapped {
        Tapped {
            hidden: Vec::new(),
            attention: vec![(0, Tensor::<4>::from_floats([maps], &plain_device()))],
        }
    }

    #[test]
    fn only_queries_that_count_are_compared() {
        let device = plain_device();
        let row = TokenRow::document(&[1, 2, 3], &[1.0, 0.0, 2.0]);
        let batch = TokenBatch::from_rows(&[row], 0, &device);
        let student = StudentView {
            hidden: Tensor::zeros([1, 2], &device),
            head: LmHead::new(Tensor::eye(2, &device)),
            tapped: tapped([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.25, 0.75]]]),
        };
        let teacher = TeacherSignal {
            prediction: Prediction::None,
            tapped: tapped([[[1.0, 0.0], [0.25, 0.75]], [[0.0, 1.0], [0.25, 0.75]]]),
        };
        let objective = AttentionMatchConfig::new(vec![(0, 0)]).init().unwrap();
        assert_eq!(objective.taps().0.attention_layers(), [0]);
        let mut terms = Vec::new();
        let input = ObjectiveInput {
            student: &student,
            teacher: &teacher,
            batch: &batch,
        };
        objective.terms(input, &mut terms);
        // Row 1 only, with weight 2; the second head agrees there.
        let divergence = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert_close(
            &values(&terms[0].sum),
            &[2.0 * divergence / 2.0],
            Tolerance::F32,
        );
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(AttentionMatchConfig::new(vec![]).init().is_err());
    }
}
