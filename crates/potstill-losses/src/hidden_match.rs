//! Matching hidden states layer by layer.
//!
//! ```text
//! L(row) = mean over pairs of  D(s · P, t)
//! ```
//!
//! with D the mean squared error or one minus the cosine, and P a trained projection where the widths
//! differ. Romero et al., *FitNets*, arXiv:1412.6550 (a regressor on the student's features);
//! Jiao et al., *TinyBERT*, arXiv:1909.10351 (layer pairs); Sanh et al., *DistilBERT*,
//! arXiv:1910.01108 (cosine).

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Distribution;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Taps};
use potstill_kernels::log_space::at_least_f32;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::check_weight;
use crate::feature::{hidden_cosine, hidden_mse, hidden_normalized_mse};

/// How two hidden states are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HiddenDistance {
    /// [`hidden_mse`].
    Mse,
    /// [`hidden_cosine`].
    Cosine,
    /// [`hidden_normalized_mse`].
    NormalizedMse,
}

impl HiddenDistance {
    /// The distance of each row.
    ///
    /// # Shapes
    ///
    /// - `student`, `teacher`: `[rows, d]`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    #[must_use]
    pub fn per_row(self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Mse => hidden_mse(student, teacher),
            Self::Cosine => hidden_cosine(student, teacher),
            Self::NormalizedMse => hidden_normalized_mse(student, teacher),
        }
    }

    fn term_name(self) -> &'static str {
        match self {
            Self::Mse => "hidden_mse",
            Self::Cosine => "hidden_cosine",
            Self::NormalizedMse => "hidden_normalized_mse",
        }
    }
}

/// Settings of [`HiddenMatch`].
#[derive(Config, Debug)]
pub struct HiddenMatchConfig {
    /// Which hidden state of the student learns from which of the teacher, as (student, teacher);
    /// 0 is the output of the embeddings.
    pub pairs: Vec<(usize, usize)>,
    /// Width of the student's hidden states.
    pub d_student: usize,
    /// Width of the teacher's hidden states.
    pub d_teacher: usize,
    /// How they are compared.
    #[config(default = "HiddenDistance::Mse")]
    pub distance: HiddenDistance,
    /// Whether to project the student even if the widths are equal.
    #[config(default = false)]
    pub project: bool,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
}

impl HiddenMatchConfig {
    /// Builds the objective; projections are drawn from the generator of `device`.
    ///
    /// # Errors
    ///
    /// When there is no pair, a width is 0, or the weight is negative.
    pub fn init(&self, device: &Device) -> Result<HiddenMatch, Error> {
        if self.pairs.is_empty() {
            return Err(Error::Empty {
                name: "pairs",
                expected: "(student, teacher) pair",
            });
        }
        for (name, width) in [("d_student", self.d_student), ("d_teacher", self.d_teacher)] {
            if width == 0 {
                return Err(Error::Parameter {
                    name,
                    value: 0.0,
                    expected: "at least 1",
                });
            }
        }
        let deviation = (self.d_student as f64).powf(-0.5);
        let projection = || {
            let shape = [self.d_student, self.d_teacher];
            Param::from_tensor(Tensor::random(
                shape,
                Distribution::Normal(0.0, deviation),
                device,
            ))
        };
        let is_projected = self.project || self.d_student != self.d_teacher;
        Ok(HiddenMatch {
            projections: self
                .pairs
                .iter()
                .filter(|_| is_projected)
                .map(|_| projection())
                .collect(),
            pairs: self.pairs.clone(),
            distance: self.distance,
            weight: check_weight(self.weight)?,
        })
    }
}

/// A distance between hidden states of student and teacher, on the rows that count, averaged over
/// the pairs.
///
/// The pair (0, 0) matches embeddings. The projections are trained with the student and saved with the
/// objective; each is `[d_student, d_teacher]`.
///
/// Logs one term, named after the distance. Built by [`HiddenMatchConfig`].
#[derive(Module, Debug)]
pub struct HiddenMatch {
    projections: Vec<Param<Tensor<2>>>,
    #[module(skip)]
    pairs: Vec<(usize, usize)>,
    #[module(skip)]
    distance: HiddenDistance,
    weight: f64,
}

impl HiddenMatch {
    /// The distance of each row for pair `index`, after its projection.
    ///
    /// # Shapes
    ///
    /// - `student`: `[rows, d_student]`
    /// - `teacher`: `[rows, d_teacher]`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the widths are not those of the configuration or there is no such pair.
    #[must_use]
    pub fn per_row(&self, index: usize, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        assert!(
            index < self.pairs.len(),
            "pair {index} of {}",
            self.pairs.len()
        );
        let student = at_least_f32(student);
        let student = match self.projections.get(index) {
            Some(projection) => {
                let projection = projection.val().cast(student.dtype());
                student.matmul(projection)
            }
            None => student,
        };
        self.distance.per_row(student, teacher)
    }
}

impl Objective for HiddenMatch {
    fn taps(&self) -> (Taps, Taps) {
        (
            Taps::hidden(self.pairs.iter().map(|pair| pair.0)),
            Taps::hidden(self.pairs.iter().map(|pair| pair.1)),
        )
    }

    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let rows = &input.batch.rows;
        let sums = self
            .pairs
            .iter()
            .enumerate()
            .map(|(index, &(student, teacher))| {
                let student = rows.select(input.student.tapped.hidden(student));
                let teacher = rows.select(input.teacher.tapped.hidden(teacher));
                rows.weighted_sum(self.per_row(index, student, teacher))
            });
        let sum = sums
            .reduce(|total, sum| total + sum)
            .expect("there is at least one pair");
        terms.push(LossTerm {
            name: self.distance.term_name().into(),
            weight: self.weight,
            sum: sum * (self.pairs.len() as f64).recip(),
        });
    }
}

#[cfg(test)]
mod tests;
