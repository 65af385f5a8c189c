//! A loss on logits that never exist all at once.
//!
//! ```text
//! z = head(h)      L = Σ_r w_r · ℓ(z_r)      G_r = w_r · ∂ℓ/∂z_r
//! ∂L/∂h = G W      ∂L/∂W = Gᵀ h      ∂L/∂b = Σ_r G_r
//! ```
//!
//! For a chunk of rows at a time: the logits of both heads, the loss and its closed-form gradient G,
//! and the two products that add to ∂L/∂h and ∂L/∂W. Nothing of size `rows × vocab` exists, and
//! autodiff stores nothing as wide as the vocabulary.
//!
//! The result is tied to the autodiff graph by `L + (s − stop(s))` with
//! `s = Σ h · stop(∂L/∂h) + Σ W · stop(∂L/∂W)`, whose value is L and whose gradient is exact. A
//! second derivative would be wrong: it is 0.

use burn::prelude::*;
use potstill_core::{LmHead, Prediction};

use crate::log_space::{at_least_f32, column};
use crate::row_loss::{LogitRows, RowLoss};
use crate::sparse::{SparseDivergence, SparseRows};

mod accumulator;

use accumulator::Accumulator;

/// Logits of one model that exist at a time, unless [`LEAST_ROWS`] are more.
const CHUNK_LOGITS: usize = 1 << 24;

/// A chunk costs a pass over the gradient of the whole head, which fewer rows would not pay for.
const LEAST_ROWS: usize = 128;

/// Rows whose logits exist at a time.
pub(crate) fn rows_per_chunk(vocab: usize) -> usize {
    (CHUNK_LOGITS / vocab.max(1)).max(LEAST_ROWS)
}

/// Rows of a student that are to be compared with a teacher or with targets.
#[derive(Clone, Copy, Debug)]
pub struct HeadRows<'a> {
    /// What the student's head reads, `[rows, d_student]`.
    pub hidden: &'a Tensor<2>,
    /// The student's head.
    pub head: &'a LmHead,
    /// What the teacher says about the same rows.
    pub teacher: &'a Prediction,
    /// The tokens that follow, `[rows]`.
    pub targets: Option<&'a Tensor<1, Int>>,
    /// Rows at a time; `None` takes what 2²⁴ logits (64 MiB in f32) hold, at least 128.
    pub chunk_rows: Option<usize>,
}

impl HeadRows<'_> {
    /// The loss of each row, outside the autodiff graph, `[rows]`.
    ///
    /// # Panics
    ///
    /// Panics if `loss` needs a teacher and the prediction has no logits, if the heads differ in
    /// vocabulary, or if `chunk_rows` is 0.
    #[must_use]
    pub fn per_row(&self, loss: &impl RowLoss) -> Tensor<1> {
        self.values(&FromLogits(loss))
    }

    /// 1 where student and teacher hold the same token for the likeliest, 0 elsewhere, `[rows]`.
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row).
    #[must_use]
    pub fn agreement(&self) -> Tensor<1> {
        self.per_row(&Agreement)
    }

    /// `Σ weight · loss` over the rows, differentiable with respect to the hidden states and the
    /// head, `[1]`.
    ///
    /// Without anything to differentiate, no gradient is computed.
    ///
    /// # Shapes
    ///
    /// - `weights`: `[rows]`
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row), and if `weights` has another length.
    #[must_use]
    pub fn weighted_sum(&self, loss: &impl RowLoss, weights: Option<&Tensor<1>>) -> Tensor<1> {
        self.sum(&FromLogits(loss), weights)
    }

    /// As [`per_row`](Self::per_row), against a sparse prediction.
    ///
    /// # Panics
    ///
    /// Panics if the prediction is not sparse, its support is not the one that `loss` is about, or
    /// `chunk_rows` is 0.
    #[must_use]
    pub fn sparse_per_row(&self, loss: &SparseDivergence) -> Tensor<1> {
        self.values(&FromSparse(loss))
    }

    /// As [`weighted_sum`](Self::weighted_sum), against a sparse prediction.
    ///
    /// # Shapes
    ///
    /// - `weights`: `[rows]`
    ///
    /// # Panics
    ///
    /// As [`sparse_per_row`](Self::sparse_per_row), and if `weights` has another length.
    #[must_use]
    pub fn sparse_weighted_sum(
        &self,
        loss: &SparseDivergence,
        weights: Option<&Tensor<1>>,
    ) -> Tensor<1> {
        self.sum(&FromSparse(loss), weights)
    }

    /// `reduce` of the losses of all rows, differentiable as [`weighted_sum`](Self::weighted_sum) is.
    ///
    /// For what is not a weighted sum over rows: a preference between the log-likelihoods of two
    /// answers, the likelihood of spans, a ranking. It passes over the logits twice, once for the
    /// losses and once with the slope of `reduce` as row weights.
    ///
    /// # Shapes
    ///
    /// - `reduce`: from `[rows]` to `[1]`
    ///
    /// # Panics
    ///
    /// As [`per_row`](Self::per_row), and if the result of `reduce` does not depend on its argument
    /// or is not one value.
    #[must_use]
    pub fn reduced(
        &self,
        loss: &impl RowLoss,
        reduce: impl FnOnce(Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        let per_row = self.per_row(loss);
        if !Accumulator::new(self.hidden, self.head).is_wanted() {
            return reduce(per_row);
        }
        let leaf = per_row.autodiff().require_grad();
        let value = reduce(leaf.clone());
        assert_eq!(
            value.dims(),
            [1],
            "the losses of the rows are reduced to one value"
        );
        let gradients = value.backward();
        let slope = leaf
            .grad(&gradients)
            .expect("the reduction depends on the losses");
        let sum = self.weighted_sum(loss, Some(&slope));
        value.without_autodiff() + (sum.clone() - sum.detach())
    }

    fn values(&self, loss: &impl ChunkLoss) -> Tensor<1> {
        let plain = self.without_autodiff();
        let chunks: Vec<Tensor<1>> = plain
            .chunks()
            .map(|chunk| loss.per_row(&plain, chunk, plain.student_logits(chunk).1))
            .collect();
        if chunks.is_empty() {
            return Tensor::zeros([0], &plain.hidden.device());
        }
        Tensor::cat(chunks, 0)
    }

    fn sum(&self, loss: &impl ChunkLoss, weights: Option<&Tensor<1>>) -> Tensor<1> {
        let mut gradients = Accumulator::new(self.hidden, self.head);
        let plain = self.without_autodiff();
        let weights = weights.map(|weights| at_least_f32(weights.clone()).without_autodiff());
        let mut sums = Vec::new();
        for chunk in plain.chunks() {
            let weights = weights.clone().map(|weights| chunk.of(weights));
            let (hidden, logits) = plain.student_logits(chunk);
            if !gradients.is_wanted() {
                let values = loss.per_row(&plain, chunk, logits);
                sums.push(weighted(values, weights.as_ref()).sum());
                continue;
            }
            let capped = plain.head.softcap.is_some().then(|| logits.clone());
            let (value, gradient) = loss.value_and_gradient(&plain, chunk, logits);
            let gradient = match &weights {
                Some(weights) => gradient * column(weights).cast(value.dtype()),
                None => gradient,
            };
            gradients.add(hidden, &plain.head, capped, gradient);
            sums.push(weighted(value, weights.as_ref()).sum());
        }
        if sums.is_empty() {
            return self.hidden.clone().sum() * 0.0;
        }
        gradients.attach(Tensor::cat(sums, 0).sum(), self.hidden, self.head)
    }

    fn without_autodiff(&self) -> Plain<'_> {
        let hidden = self.hidden.clone().without_autodiff();
        let chunk_rows = self
            .chunk_rows
            .unwrap_or_else(|| rows_per_chunk(self.head.vocab_size()));
        assert!(chunk_rows > 0, "a chunk needs at least one row");
        Plain {
            hidden,
            head: self.head.clone().without_autodiff(),
            teacher: self.teacher,
            targets: self.targets,
            chunk_rows,
        }
    }
}

fn weighted(values: Tensor<1>, weights: Option<&Tensor<1>>) -> Tensor<1> {
    match weights {
        Some(weights) => values.clone() * weights.clone().cast(values.dtype()),
        None => values,
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    start: usize,
    rows: usize,
}

impl Chunk {
    fn of<const D: usize>(self, rows: Tensor<D>) -> Tensor<D> {
        rows.narrow(0, self.start, self.rows).without_autodiff()
    }
}

/// [`HeadRows`] whose student is cut from the graph.
struct Plain<'a> {
    hidden: Tensor<2>,
    head: LmHead,
    teacher: &'a Prediction,
    targets: Option<&'a Tensor<1, Int>>,
    chunk_rows: usize,
}

impl Plain<'_> {
    fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let ([rows, _], size) = (self.hidden.dims(), self.chunk_rows);
        (0..rows).step_by(size).map(move |start| Chunk {
            start,
            rows: size.min(rows - start),
        })
    }

    /// The hidden states of a chunk and their logits.
    fn student_logits(&self, chunk: Chunk) -> (Tensor<2>, Tensor<2>) {
        let hidden = chunk.of(self.hidden.clone());
        (hidden.clone(), self.head.logits(hidden))
    }

    fn teacher_logits(&self, chunk: Chunk) -> Tensor<2> {
        match self.teacher {
            Prediction::Deferred { hidden, head } => {
                let head = head.clone().without_autodiff();
                head.logits(chunk.of(hidden.clone()))
            }
            Prediction::Dense(logits) => chunk.of(logits.clone()),
            other => panic!(
                "this loss needs the teacher's logits, and its prediction is {}",
                other.kind()
            ),
        }
    }
}

/// A loss on a chunk of rows.
trait ChunkLoss {
    fn per_row(&self, rows: &Plain<'_>, chunk: Chunk, student: Tensor<2>) -> Tensor<1>;

    fn value_and_gradient(
        &self,
        rows: &Plain<'_>,
        chunk: Chunk,
        student: Tensor<2>,
    ) -> (Tensor<1>, Tensor<2>);
}

struct FromLogits<'a, L>(&'a L);

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
}

struct FromSparse<'a>(&'a SparseDivergence);

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
}

/// Whether the likeliest tokens are the same.
struct Agreement;

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

#[cfg(test)]
mod tests;
