//! What a loss makes of a chunk of rows.

use burn::prelude::*;

use super::{Chunk, Plain};
use crate::sparse::SparseRows;
use crate::{Blend, LogitRows, RowLoss, SparseDivergence};

/// A loss on a chunk of rows.
pub(super) trait ChunkLoss {
    fn per_row(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> Tensor<1>;

    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>);

    /// What a hand-written body may compute instead.
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
        self.0.per_row(self.rows(rows, chunk, student))
    }

    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>) {
        self.0.value_and_gradient(self.rows(rows, chunk, student))
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
    ) -> (Tensor<1>, Tensor<2>) {
        let teacher = SparseRows::narrowed(rows.teacher, chunk.start, chunk.rows);
        self.0.value_and_gradient(student, &teacher)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::Sparse(*self.0))
    }
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
