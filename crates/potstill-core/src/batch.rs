//! The tensors made from packed token rows.

mod row;

use std::sync::Arc;

use burn::prelude::*;

use crate::Draw;

pub use row::TokenRow;
use row::largest_token;

/// The positions of a batch that count towards a loss, and how much.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Flat positions, `row * seq + column`, ascending, `[rows]`.
    pub indices: Tensor<1, Int>,
    /// Weight of each position, `[rows]`; `None` when every weight is 1.
    pub weights: Option<Tensor<1>>,
    count: usize,
    total_weight: f64,
}

impl Rows {
    /// Rows at `positions` (flat, ascending) with a weight each.
    ///
    /// # Panics
    ///
    /// Panics if the slices differ in length, the positions do not ascend, or a weight is negative
    /// or not finite.
    #[must_use]
    pub fn new(positions: &[usize], weights: &[f32], device: &Device) -> Self {
        assert_eq!(positions.len(), weights.len(), "each row needs one weight");
        assert!(
            positions.is_sorted_by(|before, after| before < after),
            "row positions must ascend, each named once"
        );
        assert!(
            weights
                .iter()
                .all(|weight| weight.is_finite() && *weight >= 0.0),
            "row weights must be finite and not negative"
        );
        let count = positions.len();
        let indices: Vec<i32> = positions
            .iter()
            .map(|&position| i32::try_from(position).expect("a batch has less than 2^31 positions"))
            .collect();
        let uniform = weights.iter().all(|&weight| weight == 1.0);
        Self {
            indices: Tensor::from_data(TensorData::new(indices, [count]), device),
            weights: (!uniform)
                .then(|| Tensor::from_data(TensorData::new(weights.to_vec(), [count]), device)),
            count,
            total_weight: weights.iter().map(|&weight| f64::from(weight)).sum(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Sum of the weights: the divisor of the weighted mean.
    #[must_use]
    pub fn total_weight(&self) -> f64 {
        self.total_weight
    }

    /// The rows of `hidden` that count.
    ///
    /// # Shapes
    ///
    /// - `hidden`: `[batch, seq, d]`
    /// - output: `[rows, d]`
    #[must_use]
    pub fn select(&self, hidden: Tensor<3>) -> Tensor<2> {
        let [batch, seq, d] = hidden.dims();
        let flat = hidden.reshape([batch * seq, d]);
        // Positions are distinct, so as many rows as positions means all of them, in order.
        if self.count == batch * seq {
            flat
        } else {
            flat.select(0, self.indices.clone())
        }
    }

    /// `Σ weight · value`: the one reduction. Divide by [`total_weight`](Self::total_weight) for
    /// the mean.
    ///
    /// # Shapes
    ///
    /// - `values`: `[rows]`
    /// - output: `[1]`
    #[must_use]
    pub fn weighted_sum(&self, values: Tensor<1>) -> Tensor<1> {
        match &self.weights {
            Some(weights) => (values * weights.clone()).sum(),
            None => values.sum(),
        }
    }

    /// The same rows on `device`.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        Self {
            indices: self.indices.clone().to_device(device),
            weights: self
                .weights
                .clone()
                .map(|weights| weights.to_device(device)),
            ..*self
        }
    }
}

/// How likely the targets were when a model drew them.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Log-probability of each target under the student as it was then, `[rows]`.
    pub policy: Tensor<1>,
    /// Log-probability of each target under the distribution it was drawn from, `[rows]`.
    pub sampler: Tensor<1>,
}

impl Drawn {
    fn new(draws: &[Draw], device: &Device) -> Self {
        let column = |log_prob: fn(&Draw) -> f32| {
            let values: Vec<f32> = draws.iter().map(log_prob).collect();
            Tensor::from_data(TensorData::new(values, [draws.len()]), device)
        };
        Self {
            policy: column(|draw| draw.policy),
            sampler: column(|draw| draw.sampler),
        }
    }

    fn to_device(&self, device: &Device) -> Self {
        Self {
            policy: self.policy.clone().to_device(device),
            sampler: self.sampler.clone().to_device(device),
        }
    }
}

/// A batch of packed rows.
///
/// Attention is causal *within a segment* and positions restart with it, so padding on either side
/// and packing are one concept. Segment 0 is padding.
///
/// Build batches on a plain device, never on an autodiff one: token tensors on an autodiff device
/// make a teacher pay for autodiff.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// Token ids that the models read, `[batch, seq]`.
    pub tokens: Tensor<2, Int>,
    /// Segment of each position, 0 for padding, `[batch, seq]`.
    pub segments: Tensor<2, Int>,
    /// Position inside the segment, from 0, `[batch, seq]`.
    pub positions: Tensor<2, Int>,
    /// Token ids that follow, `[batch, seq]`.
    pub targets: Tensor<2, Int>,
    /// The positions that count.
    pub rows: Rows,
    /// How the targets of the rows were drawn; `None` unless a model wrote all of them.
    pub drawn: Option<Drawn>,
    sequences: Arc<[usize]>,
    plain: bool,
    longest_segment: usize,
    largest_token: u32,
}

impl TokenBatch {
    /// A batch of `rows`, padded on the right to the longest with `pad_token`.
    ///
    /// # Panics
    ///
    /// Panics if `rows` is empty, holds no position at all, or has a weight that is negative or not
    /// finite.
    #[must_use]
    pub fn from_rows(rows: &[TokenRow], pad_token: u32, device: &Device) -> Self {
        let seq = rows.iter().map(TokenRow::len).max().unwrap_or(0);
        let padded = |values: fn(&TokenRow) -> &[u32], pad: u32| -> Vec<u32> {
            rows.iter()
                .flat_map(|row| {
                    let values = values(row);
                    values
                        .iter()
                        .copied()
                        .chain(std::iter::repeat_n(pad, seq - values.len()))
                })
                .collect()
        };
        let weights: Vec<f32> = rows
            .iter()
            .flat_map(|row| {
                row.weights()
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(0.0, seq - row.len()))
            })
            .collect();
        let batch = Self::new(
            [rows.len(), seq],
            &padded(TokenRow::tokens, pad_token),
            &padded(TokenRow::segments, 0),
            &padded(TokenRow::targets, pad_token),
            &weights,
            device,
        );
        let counted = rows.iter().flat_map(|row| {
            let positions = (0..row.len()).filter(|&position| row.weights()[position] != 0.0);
            positions.map(|position| row.draw(position))
        });
        let draws: Option<Vec<Draw>> = counted.collect();
        let draws = draws.filter(|draws| !draws.is_empty());
        Self {
            drawn: draws.map(|draws| Drawn::new(&draws, device)),
            ..batch
        }
    }

    /// A batch from flat row-major values of shape `[batch, seq]`.
    ///
    /// # Panics
    ///
    /// Panics if `shape` is empty, a slice does not fill it, a weight is negative or not finite, or
    /// a padding position (segment 0) has a weight.
    #[must_use]
    pub fn new(
        shape: [usize; 2],
        tokens: &[u32],
        segments: &[u32],
        targets: &[u32],
        weights: &[f32],
        device: &Device,
    ) -> Self {
        let [batch, seq] = shape;
        assert!(
            batch > 0 && seq > 0,
            "a batch needs at least one position, got {shape:?}"
        );
        for (name, len) in [
            ("tokens", tokens.len()),
            ("segments", segments.len()),
            ("targets", targets.len()),
            ("weights", weights.len()),
        ] {
            assert_eq!(
                len,
                batch * seq,
                "{name} must fill [batch, seq] = {shape:?}"
            );
        }
        let counted: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] != 0.0).collect();
        assert!(
            counted.iter().all(|&i| segments[i] != 0),
            "a padding position (segment 0) cannot count"
        );
        let row_weights: Vec<f32> = counted.iter().map(|&i| weights[i]).collect();
        let positions: Vec<u32> = segments.chunks(seq).flat_map(segment_positions).collect();
        let longest_segment = positions.iter().max().map_or(0, |&last| last as usize + 1);
        let plain = segments
            .chunks(seq)
            .all(|row| row[0] != 0 && row.iter().all(|s| *s == row[0]));
        let ints = |values: &[u32]| {
            let values: Vec<i32> = values.iter().map(|&value| value.cast_signed()).collect();
            Tensor::<2, Int>::from_data(TensorData::new(values, shape), device)
        };
        Self {
            tokens: ints(tokens),
            segments: ints(segments),
            positions: ints(&positions),
            targets: ints(targets),
            rows: Rows::new(&counted, &row_weights, device),
            drawn: None,
            sequences: counted
                .chunk_by(|&a, &b| a / seq == b / seq && segments[a] == segments[b])
                .map(<[usize]>::len)
                .collect(),
            plain,
            longest_segment,
            largest_token: largest_token(tokens, targets, weights),
        }
    }

    /// `[batch, seq]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        self.tokens.dims()
    }

    /// How many rows count in each segment that has any, in order: the rows of a sequence are
    /// neighbors, so these are the lengths of all sequences one after the other.
    #[must_use]
    pub fn sequences(&self) -> &[usize] {
        &self.sequences
    }

    /// Whether every row is one segment without padding, so that plain causal attention is enough.
    #[must_use]
    pub fn is_plain_causal(&self) -> bool {
        self.plain
    }

    /// Length of the longest segment: the number of positions a model must support.
    #[must_use]
    pub fn longest_segment(&self) -> usize {
        self.longest_segment
    }

    /// The largest token id that a model reads, in padding as well, or predicts in a row that counts:
    /// its vocabulary must be larger.
    #[must_use]
    pub fn largest_token(&self) -> u32 {
        self.largest_token
    }

    /// The targets of the rows that count, `[rows]`.
    #[must_use]
    pub fn row_targets(&self) -> Tensor<1, Int> {
        self.targets
            .clone()
            .flatten::<1>(0, 1)
            .select(0, self.rows.indices.clone())
    }

    /// The same batch on `device`.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        Self {
            tokens: self.tokens.clone().to_device(device),
            segments: self.segments.clone().to_device(device),
            positions: self.positions.clone().to_device(device),
            targets: self.targets.clone().to_device(device),
            rows: self.rows.to_device(device),
            drawn: self.drawn.as_ref().map(|drawn| drawn.to_device(device)),
            sequences: Arc::clone(&self.sequences),
            ..*self
        }
    }
}

/// Positions inside each run of equal segments; a run ends where the segment changes.
fn segment_positions(segments: &[u32]) -> impl Iterator<Item = u32> {
    segments
        .iter()
        .scan((None, 0u32), |(previous, position), &segment| {
            *position = if *previous == Some(segment) {
                *position + 1
            } else {
                0
            };
            *previous = Some(segment);
            Some(if segment == 0 { 0 } else { *position })
        })
}

#[cfg(test)]
mod tests;
