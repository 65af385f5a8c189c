//! The body for flex: f32, two buffers of logits for all chunks.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::prelude::*;
use potstill_core::{LmHead, Prediction, Support};
use rayon::prelude::*;

use super::Plain;
use super::chunk_loss::Fused;
use super::evaluation::{Evaluation, Wanted};
use crate::SparseDivergence;
use crate::bodies::portable_bodies;
use crate::host::{Matrix, Threads, Values, indices, primitive, product_into, vectorized};
use crate::row_pass::{Named, Scratch, StudentRow, Tail, TeacherRow, blended_row, sparse_row};

mod gradients;

use gradients::Gradients;

/// The loss of some rows and the gradients that were wanted; `None` where this body does not know the
/// dtype, the device or the kind of teacher.
pub(super) fn evaluate(
    rows: &Plain<'_>,
    loss: Fused,
    weights: Option<&Tensor<1>>,
    wanted: Wanted,
) -> Option<Evaluation> {
    if portable_bodies() {
        return None;
    }
    let student = Projection::of(&rows.hidden, &rows.head)?;
    let teacher = Teacher::of(loss, rows.teacher, student.vocab())?;
    let targets = match loss {
        Fused::Blend(blend) if blend.hard.is_some() => Some(indices(rows.targets?)?),
        _ => None,
    };
    let weights = match weights {
        Some(weights) => Some(Values::<Flex>::of(primitive(weights)?)),
        None => None,
    };
    let pass = Pass {
        loss,
        student,
        teacher,
        targets,
        weights: weights.as_ref().map(Values::as_slice),
        wanted,
    };
    Some(pass.run(rows.chunk_rows))
}

/// Hidden states and the head that projects them.
struct Projection {
    hidden: FlexTensor,
    weight: FlexTensor,
    bias: Option<Values<Flex>>,
    scale: f32,
    softcap: Option<f32>,
}

impl Projection {
    fn of(hidden: &Tensor<2>, head: &LmHead) -> Option<Self> {
        let bias = match &head.bias {
            Some(bias) => Some(Values::<Flex>::of(primitive(bias)?)),
            None => None,
        };
        Some(Self {
            hidden: primitive(hidden)?,
            weight: primitive(&head.weight)?,
            bias,
            scale: head.scale as f32,
            softcap: head.softcap.map(|cap| cap as f32),
        })
    }

    fn hidden(&self) -> Matrix<'_> {
        Matrix::of(&self.hidden)
    }

    fn weight(&self) -> Matrix<'_> {
        Matrix::of(&self.weight)
    }

    fn vocab(&self) -> usize {
        self.weight().shape()[0]
    }

    fn tail(&self) -> Tail<'_> {
        Tail {
            bias: self.bias.as_ref().map(Values::as_slice),
            scale: self.scale,
            softcap: self.softcap,
        }
    }

    /// The products of some rows, before the tail.
    fn products_into(&self, out: &mut Vec<f32>, rows: &[usize]) {
        let mut gathered = Vec::new();
        product_into(
            out,
            gather(self.hidden(), rows, &mut gathered),
            self.weight().transposed(),
            self.tail().product_factor(),
            Threads::All,
        );
    }
}

/// Some rows of a matrix: a view where they are neighbors, a copy where they are not.
fn gather<'a>(matrix: Matrix<'a>, rows: &[usize], copy: &'a mut Vec<f32>) -> Matrix<'a> {
    let first = rows.first().copied().unwrap_or(0);
    if rows.iter().copied().eq(first..first + rows.len()) {
        return matrix.rows(first..first + rows.len());
    }
    for &row in rows {
        copy.extend(matrix.row(row));
    }
    Matrix::new(copy, [rows.len(), matrix.shape()[1]])
}

/// What the student is compared with.
enum Teacher {
    Unused,
    Deferred(Projection),
    Dense(Values<Flex>),
    Sparse {
        k: usize,
        ids: Vec<usize>,
        log_probs: Values<Flex>,
        tail: Option<Values<Flex>>,
    },
}

impl Teacher {
    fn of(loss: Fused, prediction: &Prediction, vocab: usize) -> Option<Self> {
        let blend = match loss {
            Fused::Blend(blend) => blend,
            Fused::Sparse(divergence) => return Self::sparse(divergence, prediction),
        };
        if blend.soft.is_none() {
            return Some(Self::Unused);
        }
        match prediction {
            Prediction::Deferred { hidden, head } if head.vocab_size() == vocab => {
                let hidden = hidden.clone().without_autodiff();
                let head = head.clone().without_autodiff();
                Projection::of(&hidden, &head).map(Self::Deferred)
            }
            Prediction::Dense(logits) if logits.dims()[1] == vocab => {
                let logits = logits.clone().without_autodiff();
                primitive(&logits).map(|logits| Self::Dense(Values::<Flex>::of(logits)))
            }
            _ => None,
        }
    }

    fn sparse(divergence: SparseDivergence, prediction: &Prediction) -> Option<Self> {
        let Prediction::Sparse {
            token_ids,
            log_probs,
            support,
        } = prediction
        else {
            return None;
        };
        let tail = match (support, divergence) {
            (Support::Sampled, SparseDivergence::Sampled) => None,
            (Support::TopK { .. }, SparseDivergence::Sampled) | (Support::Sampled, _) => {
                return None;
            }
            (Support::TopK { tail }, _) => Some(Values::<Flex>::of(primitive(tail)?)),
            _ => return None,
        };
        Some(Self::Sparse {
            k: token_ids.dims()[1],
            ids: indices(token_ids)?,
            log_probs: Values::<Flex>::of(primitive(log_probs)?),
            tail,
        })
    }

    /// The teacher's side of row `row`, which is compared by a blend.
    fn row<'a>(&'a self, row: usize, vocab: usize, products: &'a mut [f32]) -> TeacherRow<'a> {
        match self {
            Self::Deferred(projection) => TeacherRow::Products(products, projection.tail()),
            Self::Dense(logits) => TeacherRow::Logits(&logits.as_slice()[row * vocab..][..vocab]),
            Self::Unused | Self::Sparse { .. } => TeacherRow::Unused,
        }
    }

    /// The tokens that are named for row `row`.
    fn named(&self, row: usize) -> Option<Named<'_>> {
        let Self::Sparse {
            k,
            ids,
            log_probs,
            tail,
        } = self
        else {
            return None;
        };
        Some(Named {
            ids: &ids[row * k..][..*k],
            log_probs: &log_probs.as_slice()[row * k..][..*k],
            tail: tail.as_ref().map(|tail| tail.as_slice()[row]),
        })
    }
}

/// A pass over all rows.
struct Pass<'a> {
    loss: Fused,
    student: Projection,
    teacher: Teacher,
    targets: Option<Vec<usize>>,
    weights: Option<&'a [f32]>,
    wanted: Wanted,
}

impl Pass<'_> {
    fn run(self, chunk_rows: usize) -> Evaluation {
        let [count, _] = self.student.hidden().shape();
        let counted: Vec<usize> = (0..count).filter(|&row| self.weight(row) != 0.0).collect();
        let mut gradients = Gradients::new(self.wanted, &self.student);
        let (mut per_row, mut sum) = (vec![0.0; count], 0.0);
        let (mut logits, mut products) = (Vec::new(), Vec::new());
        for rows in counted.chunks(chunk_rows) {
            self.student.products_into(&mut logits, rows);
            if let Teacher::Deferred(teacher) = &self.teacher {
                teacher.products_into(&mut products, rows);
            }
            let losses = self.losses(rows, &mut logits, &mut products);
            for (&row, loss) in rows.iter().zip(losses) {
                per_row[row] = loss as f32;
                sum += f64::from(self.weight(row)) * loss;
            }
            gradients.add(&self.student, rows, &logits);
        }
        gradients.finish(per_row, sum as f32, &self.student)
    }

    fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The loss of each row; its logits become its gradient.
    fn losses(&self, rows: &[usize], logits: &mut [f32], products: &mut [f32]) -> Vec<f64> {
        let vocab = self.student.vocab();
        let products: Vec<&mut [f32]> = if products.is_empty() {
            rows.iter().map(|_| Default::default()).collect()
        } else {
            products.chunks_exact_mut(vocab).collect()
        };
        let mut losses = vec![0.0; rows.len()];
        losses
            .par_iter_mut()
            .zip(logits.par_chunks_exact_mut(vocab))
            .zip(products)
            .zip(rows)
            .for_each_init(
                Scratch::default,
                |scratch, (((loss, logits), products), &row)| {
                    *loss = vectorized(
                        #[inline(always)]
                        || self.loss(row, logits, products, scratch),
                    );
                },
            );
        losses
    }

    #[inline(always)]
    fn loss(
        &self,
        row: usize,
        logits: &mut [f32],
        products: &mut [f32],
        scratch: &mut Scratch,
    ) -> f64 {
        let factor = self.weight(row) * self.student.scale;
        let student = StudentRow {
            logits,
            tail: self.student.tail(),
            factor: self.wanted.any().then_some(factor),
        };
        match (self.loss, self.teacher.named(row)) {
            (Fused::Sparse(divergence), Some(named)) => {
                sparse_row(divergence, student, named, scratch)
            }
            (Fused::Blend(blend), _) => {
                let teacher = self.teacher.row(row, self.student.vocab(), products);
                let target = self.targets.as_ref().map(|targets| targets[row]);
                blended_row(&blend, student, teacher, target, scratch)
            }
            (Fused::Sparse(_), None) => unreachable!("a sparse loss has a sparse teacher"),
        }
    }
}

#[cfg(test)]
mod tests;
