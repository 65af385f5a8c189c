//! What a loss makes of a chunk of rows.

use burn::prelude::*;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::cube::RowPass;
#[cfg(feature = "tch")]
use super::libtorch;
use super::{Chunk, Plain};
use crate::log_space::column;
use crate::sparse::SparseRows;
use crate::{Blend, LogitRows, RowLoss, SparseDivergence};

/// A loss on a chunk of rows.
pub(super) trait ChunkLoss {
    fn per_row(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> Tensor<1>;

    /// The loss of each row and its gradient times the weight of the row.
    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
        weights: Option<&Tensor<1>>,
    ) -> (Tensor<1>, Tensor<2>);

    /// What a body for the whole loss may compute instead.
    #[cfg_attr(
        not(feature = "flex"),
        allow(dead_code, reason = "no such body is there")
    )]
    fn fused(&self) -> Option<Fused>;
}

/// Losses that hand-written bodies know.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "flex"),
    allow(dead_code, reason = "no such body is there")
)]
pub(super) enum Fused {
    Blend(Blend),
    Sparse(SparseDivergence),
}

pub(super) struct FromLogits<'a, L>(pub(super) &'a L);

impl<L: RowLoss> FromLogits<'_, L> {
    fn rows(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> LogitRows {
        let teacher = self.0.needs_teacher().then(|| {
            let teacher = rows.teacher_logits(chunk);
            assert!(
                !self.0.needs_one_vocabulary() || student.dims()[1] == teacher.dims()[1],
                "student ({} tokens) and teacher ({}) must be cut to one vocabulary",
                student.dims()[1],
                teacher.dims()[1]
            );
            teacher
        });
        let targets = rows
            .targets
            .map(|targets| targets.clone().narrow(0, chunk.start, chunk.rows));
        LogitRows {
            student,
            teacher,
            targets,
        }
    }
}

impl<L: RowLoss> ChunkLoss for FromLogits<'_, L> {
    fn per_row(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> Tensor<1> {
        let rows = self.rows(rows, chunk, student);
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        if let Some(pass) = self.0.blend().and_then(|blend| RowPass::of(&blend, &rows)) {
            return pass.per_row(rows);
        }
        #[cfg(feature = "tch")]
        if let Some(pass) = (self.0.blend()).and_then(|blend| libtorch::RowPass::of(blend, &rows)) {
            return pass.per_row(rows);
        }
        self.0.per_row(rows)
    }

    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
        weights: Option<&Tensor<1>>,
    ) -> (Tensor<1>, Tensor<2>) {
        let rows = self.rows(rows, chunk, student);
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        if let Some(pass) = self.0.blend().and_then(|blend| RowPass::of(&blend, &rows)) {
            return pass.value_and_gradient(rows, weights);
        }
        #[cfg(feature = "tch")]
        if let Some(pass) = (self.0.blend()).and_then(|blend| libtorch::RowPass::of(blend, &rows)) {
            return pass.value_and_gradient(rows, weights);
        }
        weighted(self.0.value_and_gradient(rows), weights)
    }

    fn fused(&self) -> Option<Fused> {
        self.0.blend().map(Fused::Blend)
    }
}

pub(super) struct FromSparse<'a>(pub(super) &'a SparseDivergence);

impl ChunkLoss for FromSparse<'_> {
    fn per_row(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> Tensor<1> {
        let teacher = SparseRows::narrowed(rows.teacher, chunk.start, chunk.rows);
        self.0.per_row(student, &teacher)
    }

    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
        weights: Option<&Tensor<1>>,
    ) -> (Tensor<1>, Tensor<2>) {
        let teacher = SparseRows::narrowed(rows.teacher, chunk.start, chunk.rows);
        weighted(self.0.value_and_gradient(student, &teacher), weights)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::Sparse(*self.0))
    }
}

fn weighted(
    (value, gradient): (Tensor<1>, Tensor<2>),
    weights: Option<&Tensor<1>>,
) -> (Tensor<1>, Tensor<2>) {
    let gradient = match weights {
        Some(weights) => gradient * column(weights).cast(value.dtype()),
        None => gradient,
    };
    (value, gradient)
}

/// Whether the likeliest tokens are the same.
pub(super) struct Agreement;

impl RowLoss for Agreement {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (student, teacher) = rows.student_and_teacher();
        student
            .argmax(1)
            .equal(teacher.argmax(1))
            .float()
            .squeeze_dim::<1>(1)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let gradient = rows.student.zeros_like();
        (self.per_row(rows), gradient)
    }
}
