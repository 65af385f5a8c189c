//! Matching how the positions of a batch relate to each other.
//!
//! Relations compare widths freely, so no projection is needed. The rows that count are the examples;
//! at most `max_rows` of them are taken, evenly spaced, since cost grows with their square or cube.
//! Row weights decide what counts and how much the batch counts, not how much a row counts in it.

use burn::prelude::*;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Rows, Taps};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check, check_weight};
use crate::feature::{linear_cka, rkd_angle, rkd_distance, similarity_preserving};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Relation {
    /// [`rkd_distance`].
    Distance,
    /// [`rkd_angle`].
    Angle,
    /// [`similarity_preserving`].
    Similarity,
    /// [`linear_cka`].
    LinearCka,
}

impl Relation {
    /// The name under which it is logged.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Distance => "rkd_distance",
            Self::Angle => "rkd_angle",
            Self::Similarity => "similarity_preserving",
            Self::LinearCka => "linear_cka",
        }
    }

    fn loss(self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Distance => rkd_distance(student, teacher),
            Self::Angle => rkd_angle(student, teacher),
            Self::Similarity => similarity_preserving(student, teacher),
            Self::LinearCka => linear_cka(student, teacher),
        }
    }
}

/// Settings of [`RelationMatch`].
#[derive(Config, Debug)]
pub struct RelationMatchConfig {
    /// What is compared.
    pub relation: Relation,
    /// Which hidden state of the student learns from which of the teacher, as (student, teacher);
    /// 0 is the output of the embeddings.
    pub pairs: Vec<(usize, usize)>,
    /// Most rows of a batch that are compared.
    #[config(default = 64)]
    pub max_rows: usize,
    /// Factor in the total.
    #[config(default = 1.0)]
    pub weight: f64,
}

impl RelationMatchConfig {
    /// Builds the objective.
    ///
    /// # Errors
    ///
    /// When there is no pair, fewer than two rows are to be compared, or the weight is negative.
    pub fn init(&self) -> Result<RelationMatch, Error> {
        if self.pairs.is_empty() {
            return Err(Error::Empty {
                name: "pairs",
                expected: "(student, teacher) pair",
            });
        }
        check(
            "max_rows",
            self.max_rows as f64,
            self.max_rows >= 2,
            "at least 2",
        )?;
        Ok(RelationMatch {
            relation: self.relation,
            pairs: self.pairs.clone(),
            max_rows: self.max_rows,
            weight: check_weight(self.weight)?,
        })
    }
}

/// A [`Relation`] of the hidden states of a batch, averaged over the pairs.
///
/// Logs one term, named after the relation; a batch of fewer than two rows has none and adds 0. Built
/// by [`RelationMatchConfig`].
#[derive(Module, Debug)]
pub struct RelationMatch {
    #[module(skip)]
    relation: Relation,
    #[module(skip)]
    pairs: Vec<(usize, usize)>,
    max_rows: usize,
    weight: f64,
}

impl RelationMatch {
    fn examples(&self, rows: &Rows, hidden: Tensor<3>) -> Tensor<2> {
        let hidden = rows.select(hidden);
        let count = rows.count();
        if count <= self.max_rows {
            return hidden;
        }
        let spaced: Vec<i32> = (0..self.max_rows)
            .map(|i| (i * count / self.max_rows) as i32)
            .collect();
        let indices = Tensor::from_data(spaced.as_slice(), &rows.indices.device());
        hidden.select(0, indices)
    }
}

impl Objective for RelationMatch {
    fn is_separable(&self) -> bool {
        false
    }

    fn taps(&self) -> (Taps, Taps) {
        (
            Taps::hidden(self.pairs.iter().map(|pair| pair.0)),
            Taps::hidden(self.pairs.iter().map(|pair| pair.1)),
        )
    }

    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let rows = &input.batch.rows;
        let losses = self.pairs.iter().map(|&(student, teacher)| {
            let student = self.examples(rows, input.student.tapped.hidden(student));
            let teacher = self.examples(rows, input.teacher.tapped.hidden(teacher));
            if rows.count() < 2 {
                return student.sum() * 0.0;
            }
            self.relation.loss(student, teacher)
        });
        let sum = losses
            .reduce(|total, loss| total + loss)
            .expect("there is at least one pair");
        terms.push(LossTerm {
            name: self.relation.name().into(),
            weight: self.weight,
            sum: sum * (rows.total_weight() / self.pairs.len() as f64),
        });
    }
}

#[cfg(test)]
mod tests;
