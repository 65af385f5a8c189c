//! Gradients of hidden states and head, summed where they lie.

use burn::backend::Flex;
use burn::prelude::*;
use rayon::prelude::*;

use super::{Projection, gather};
use crate::head_rows::evaluation::{Evaluation, Wanted};
use crate::host::{Matrix, MatrixMut, Threads, product, product_into, tensor};

/// Tokens whose gradients one task sums over the rows, for a bias.
const BLOCK: usize = 1 << 10;

/// What the chunks so far have added.
pub(super) struct Gradients {
    hidden: Option<Vec<f32>>,
    /// Empty before the first chunk, which writes it without reading.
    weight: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

impl Gradients {
    pub(super) fn new(wanted: Wanted, student: &Projection) -> Self {
        let [count, width] = student.hidden().shape();
        Self {
            hidden: wanted.hidden.then(|| vec![0.0; count * width]),
            weight: wanted.weight.then(Vec::new),
            bias: wanted.bias.then(|| vec![0.0; student.vocab()]),
        }
    }

    /// Adds some rows from the gradient of their logits.
    pub(super) fn add(&mut self, student: &Projection, rows: &[usize], logits: &[f32]) {
        let vocab = student.vocab();
        let gradient = Matrix::new(logits, [rows.len(), vocab]);
        let width = student.hidden().shape()[1];
        if let Some(hidden) = &mut self.hidden {
            let mut part = Vec::new();
            product_into(&mut part, gradient, student.weight(), 1.0, Threads::All);
            for (&row, part) in rows.iter().zip(part.chunks_exact(width)) {
                hidden[row * width..][..width].copy_from_slice(part);
            }
        }
        if let Some(weight) = &mut self.weight {
            let mut gathered = Vec::new();
            let hidden = gather(student.hidden(), rows, &mut gathered);
            let gradient = gradient.transposed();
            if weight.is_empty() {
                product_into(weight, gradient, hidden, 1.0, Threads::All);
            } else {
                let sum = MatrixMut::new(weight, [vocab, width]);
                product(sum, gradient, hidden, 1.0, true, Threads::All);
            }
        }
        if let Some(bias) = &mut self.bias {
            bias.par_chunks_mut(BLOCK)
                .enumerate()
                .for_each(|(block, sums)| {
                    for row in logits.chunks_exact(vocab) {
                        for (sum, value) in sums.iter_mut().zip(&row[block * BLOCK..]) {
                            *sum += value;
                        }
                    }
                });
        }
    }

    pub(super) fn finish(self, per_row: Vec<f32>, sum: f32, student: &Projection) -> Evaluation {
        let ([count, width], vocab) = (student.hidden().shape(), student.vocab());
        let weight = self.weight.map(|mut weight| {
            // No row counts, so no product has written it.
            weight.resize(vocab * width, 0.0);
            matrix(weight, [vocab, width])
        });
        Evaluation {
            per_row: vector(per_row),
            sum: vector(vec![sum]),
            hidden: self.hidden.map(|hidden| matrix(hidden, [count, width])),
            weight,
            bias: self.bias.map(vector),
        }
    }
}

fn vector(values: Vec<f32>) -> Tensor<1> {
    let shape = [values.len()];
    Tensor::from_primitive::<Flex>(tensor(values, shape))
}

fn matrix(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_primitive::<Flex>(tensor(values, shape))
}
