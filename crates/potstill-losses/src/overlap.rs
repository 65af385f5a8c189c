//! Teachers whose vocabulary mostly is the student's.
//!
//! ```text
//! D over the buckets { tokens that both have } ∪ { everything else }
//! ```
//!
//! Families of models often share all but a few added tokens, in another order. Matching the shared
//! tokens exactly and the rest as one bucket is a lower bound of any comparison that would know what
//! the rest means. The gradient is that of [`SparseDivergence`](crate::SparseDivergence) with a tail.
//! A temperature divides all logits before tokens are merged.
//!
//! This is the part of Generalized On-Policy Logit Distillation (GOLD, in TRL) that matches tokens
//! one to one; there the sums are not normalized and sorted probabilities (Boizard et al., *ULD*,
//! arXiv:2402.12030) take the place of the bucket.

use std::collections::HashMap;

use burn::prelude::*;
use burn::tensor::TensorData;
use potstill_kernels::log_space::{FLOOR, Softmax, at_least_f32, log_sum_exp, one_of};

use crate::{Divergence, Error, LogitRows, RowLoss, SparseDivergence, SparseRows};

/// Which token of the student is which of the teacher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VocabularyOverlap {
    student: Vec<i32>,
    teacher: Vec<i32>,
}

impl VocabularyOverlap {
    /// Finds the tokens that both vocabularies hold; the position in a list is the id.
    ///
    /// The caller spells both alike, for example as bytes. A spelling that occurs twice in a
    /// vocabulary counts once, with its first id.
    ///
    /// # Errors
    ///
    /// When they have no token in common.
    pub fn new<T: AsRef<[u8]>>(student: &[T], teacher: &[T]) -> Result<Self, Error> {
        let mut ids = HashMap::new();
        for (id, token) in (0..).zip(teacher) {
            ids.entry(token.as_ref()).or_insert(id);
        }
        let mut overlap = Self::default();
        for (id, token) in (0..).zip(student) {
            if let Some(teacher) = ids.remove(token.as_ref()) {
                overlap.student.push(id);
                overlap.teacher.push(teacher);
            }
        }
        if overlap.is_empty() {
            return Err(Error::Empty {
                name: "the overlap of the vocabularies",
                expected: "common token",
            });
        }
        Ok(overlap)
    }

    /// Number of common tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.student.len()
    }

    /// Whether no token is common.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.student.is_empty()
    }
}

/// A [`Divergence`] over the common tokens and one bucket for all others.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlapDivergence {
    /// What the buckets are compared with.
    pub divergence: Divergence,
    /// The common tokens.
    pub overlap: VocabularyOverlap,
    /// Divides both logits.
    pub temperature: f64,
}

impl OverlapDivergence {
    /// The student's logits at the temperature, and the teacher's common tokens.
    fn sides(&self, rows: LogitRows) -> (Tensor<2>, SparseRows) {
        let (student, teacher) = rows.student_and_teacher();
        let device = student.device();
        let [rows, _] = student.dims();
        let ids = |ids: &[i32]| {
            let ids = TensorData::new(ids.to_vec(), [1, ids.len()]);
            Tensor::<2, Int>::from_data(ids, &device).repeat_dim(0, rows)
        };
        let log_p = Softmax::new(teacher, self.temperature).log_probs;
        let named = ids(&self.overlap.teacher);
        let common = one_of(named.clone(), log_p.dims()[1]);
        let rest = log_sum_exp(log_p.clone().mask_fill(common, FLOOR));
        let teacher = SparseRows {
            token_ids: ids(&self.overlap.student),
            log_probs: log_p.gather(1, named),
            tail: Some(rest.squeeze_dim::<1>(1)),
        };
        (at_least_f32(student) * self.temperature.recip(), teacher)
    }

    fn of_buckets(&self) -> SparseDivergence {
        SparseDivergence::WithTail {
            divergence: self.divergence,
        }
    }
}

impl RowLoss for OverlapDivergence {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (student, teacher) = self.sides(rows);
        self.of_buckets().per_row(student, &teacher)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (student, teacher) = self.sides(rows);
        let (value, gradient) = self.of_buckets().value_and_gradient(student, &teacher);
        (value, gradient * self.temperature.recip())
    }

    fn needs_one_vocabulary(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::FloatDType;
    use potstill_testkit::{
        Tolerance, assert_close, autodiff_gradient, finite_differences, normals, tensor_f64, values,
    };

    use super::*;

    fn rows(student: Tensor<2>, teacher: Tensor<2>) -> LogitRows {
        LogitRows {
            student,
            teacher: Some(teacher),
            targets: None,
        }
    }

    fn loss(student: &[&str], teacher: &[&str], temperature: f64) -> OverlapDivergence {
        OverlapDivergence {
            divergence: Divergence::generalized_jsd(0.3).unwrap(),
            overlap: VocabularyOverlap::new(student, teacher).unwrap(),
            temperature,
        }
    }

    #[test]
    fn the_order_of_a_shared_vocabulary_does_not_matter() {
        let loss = loss(&["a", "b", "c"], &["c", "a", "b"], 1.0);
        let (student, teacher) = (normals(6, 1.0, 1), [0.5, 1.0, -1.0, 2.0, 0.0, 0.3]);
        let in_order: [f64; 6] = [1.0, -1.0, 0.5, 0.0, 0.3, 2.0];
        let expected = loss.divergence.value_and_gradient(
            tensor_f64(&student, [2, 3]),
            tensor_f64(&in_order, [2, 3]),
            1.0,
        );
        let at = rows(tensor_f64(&student, [2, 3]), tensor_f64(&teacher, [2, 3]));
        let actual = RowLoss::value_and_gradient(&loss, at);
        assert_close(&values(&actual.0), &values(&expected.0), Tolerance::F64);
        assert_close(&values(&actual.1), &values(&expected.1), Tolerance::F64);
    }

    #[test]
    fn what_is_not_shared_is_one_bucket_with_an_exact_gradient() {
        let loss = loss(&["a", "x", "b", "y", "c"], &["c", "z", "a", "b"], 1.5);
        assert_eq!(loss.overlap.len(), 3);
        let student = normals(10, 1.0, 2);
        let teacher = || tensor_f64(&normals(8, 1.0, 3), [2, 4]);
        let sum = |s: Tensor<2>| loss.per_row(rows(s, teacher())).sum();
        let at = rows(tensor_f64(&student, [2, 5]), teacher());
        let (value, gradient) = loss.value_and_gradient(at);
        let (expected, by_autodiff) = autodiff_gradient(sum, &student, [2, 5], FloatDType::F64);
        assert_close(&values(&value.sum()), &[expected], Tolerance::F64);
        assert_close(&values(&gradient), &by_autodiff, Tolerance::F64);
        let tolerance = Tolerance {
            absolute: 1e-7,
            relative: 1e-6,
        };
        let differences = finite_differences(sum, &student, [2, 5]);
        assert_close(&values(&gradient), &differences, tolerance);
    }

    #[test]
    fn strangers_are_refused_and_a_doubled_spelling_counts_once() {
        let error = VocabularyOverlap::new(&["a"], &["b"]).unwrap_err();
        assert!(error.to_string().contains("common token"), "{error}");
        let overlap = VocabularyOverlap::new(&["a", "a", "b"], &["b", "a", "a"]).unwrap();
        assert_eq!(overlap.len(), 2);
    }
}
