//! The portable body: any loss, composed of burn's operations.

use burn::prelude::*;

use super::Plain;
use super::accumulator::Accumulator;
use super::chunk_loss::ChunkLoss;
use super::evaluation::{Evaluation, Wanted};

pub(super) fn evaluate(
    rows: &Plain<'_>,
    loss: &impl ChunkLoss,
    weights: Option<&Tensor<1>>,
    wanted: Wanted,
) -> Evaluation {
    let mut gradients = Accumulator::new(wanted);
    let (mut values, mut sums) = (Vec::new(), Vec::new());
    for chunk in rows.chunks() {
        let weights = weights.map(|weights| chunk.of(weights.clone()));
        let (hidden, logits) = rows.student_logits(chunk);
        let value = if wanted.any() {
            let capped = rows.head.softcap.is_some().then(|| logits.clone());
            let (value, gradient) = loss.value_and_gradient(rows, chunk, logits, weights.as_ref());
            gradients.add(hidden, &rows.head, capped, gradient);
            value
        } else {
            loss.per_row(rows, chunk, logits)
        };
        sums.push(weighted(value.clone(), weights).sum());
        values.push(value);
    }
    gradients.finish(Tensor::cat(values, 0), Tensor::cat(sums, 0).sum())
}

fn weighted(values: Tensor<1>, weights: Option<Tensor<1>>) -> Tensor<1> {
    match weights {
        Some(weights) => values.clone() * weights.cast(values.dtype()),
        None => values,
    }
}
