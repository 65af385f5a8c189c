//! The segments of a batch, on the host.
//!
//! A model is causal within a segment, so that a segment is what a teacher can be asked about by
//! itself: it is what a cache is keyed by and what is sent to one specialist or another.

use std::ops::Range;

use burn::prelude::*;
use burn::tensor::{ExecutionError, Transaction};
use potstill_core::TokenBatch;

/// The tokens of a batch and how its rows fall into segments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostBatch {
    shape: [usize; 2],
    tokens: Vec<u32>,
    segments: Vec<Segment>,
    rows: usize,
}

/// One document of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its flat positions in the batch.
    pub(crate) span: Range<usize>,
    /// The rows of the batch that lie in it, ascending as their positions do.
    pub(crate) rows: Range<usize>,
    /// Where in the segment each of these rows lies.
    pub(crate) positions: Vec<u32>,
}

impl HostBatch {
    /// Reads `batch` from its device, all at once.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub(crate) fn read(batch: &TokenBatch) -> Result<Self, ExecutionError> {
        let data = Transaction::default()
            .register(batch.tokens.clone())
            .register(batch.segments.clone())
            .register(batch.rows.indices.clone())
            .try_execute()?;
        let values = |data: &TensorData| -> Vec<u32> {
            data.iter::<i64>()
                .map(|value| u32::try_from(value).unwrap_or(u32::MAX))
                .collect()
        };
        let shape = batch.dims();
        let (tokens, numbers, rows) = (values(&data[0]), values(&data[1]), values(&data[2]));
        Ok(Self {
            segments: segments(shape, &numbers, &rows),
            rows: rows.len(),
            shape,
            tokens,
        })
    }

    /// The segments, in order.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What a model reads of a segment.
    pub(crate) fn tokens(&self, segment: &Segment) -> &[u32] {
        &self.tokens[segment.span.clone()]
    }

    /// Rows that count.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// `[batch, seq]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The numbered segments by themselves, packed anew without what lay between them; `None` when
    /// none of their rows counts.
    ///
    /// The rows of the new batch are those of the segments, in order and with weight 1.
    pub(crate) fn only(&self, wanted: &[usize], device: &Device) -> Option<Part> {
        let [_, seq] = self.shape;
        let mut packed: Vec<PackedRow> = Vec::new();
        let mut line = None;
        for segment in wanted.iter().map(|&number| &self.segments[number]) {
            if line.replace(segment.span.start / seq) != Some(segment.span.start / seq) {
                packed.push(PackedRow::default());
            }
            if let Some(last) = packed.last_mut() {
                last.push(self.tokens(segment), segment);
            }
        }
        let length = packed.iter().map(|row| row.tokens.len()).max()?;
        let mut whole = PackedRow::default();
        for mut row in packed.iter().cloned() {
            row.tokens.resize(length, 0);
            row.segments.resize(length, 0);
            row.weights.resize(length, 0.0);
            row.places.resize(length, None);
            whole.tokens.append(&mut row.tokens);
            whole.segments.append(&mut row.segments);
            whole.weights.append(&mut row.weights);
            whole.places.append(&mut row.places);
        }
        if whole.weights.iter().all(|&weight| weight == 0.0) {
            return None;
        }
        let batch = TokenBatch::new(
            [packed.len(), length],
            &whole.tokens,
            &whole.segments,
            // A teacher never reads what follows.
            &whole.tokens,
            &whole.weights,
            device,
        );
        Some(Part {
            batch,
            places: whole.places,
        })
    }
}

/// Some segments of a batch as a batch of its own.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) batch: TokenBatch,
    /// Where each position, row by row, lies in the whole batch; `None` for padding.
    pub(crate) places: Vec<Option<usize>>,
}

#[derive(Clone, Debug, Default)]
struct PackedRow {
    tokens: Vec<u32>,
    segments: Vec<u32>,
    weights: Vec<f32>,
    places: Vec<Option<usize>>,
}

impl PackedRow {
    fn push(&mut self, tokens: &[u32], segment: &Segment) {
        let number = self.segments.last().map_or(1, |last| last + 1);
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.segments.resize(self.tokens.len(), number);
        self.weights.resize(self.tokens.len(), 0.0);
        self.places.extend(segment.span.clone().map(Some));
        for &position in &segment.positions {
            self.weights[start + position as usize] = 1.0;
        }
    }
}

/// Runs of equal segment numbers within a row of the batch, padding left out.
fn segments([_, seq]: [usize; 2], numbers: &[u32], rows: &[u32]) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut next = 0;
    for (line, numbers) in numbers.chunks(seq).enumerate() {
        let mut start = line * seq;
        for run in numbers.chunk_by(|a, b| a == b) {
            let span = start..start + run.len();
            start = span.end;
            if run[0] == 0 {
                continue;
            }
            let first = next;
            let mut positions = Vec::new();
            while let Some(&row) = rows.get(next).filter(|&&row| (row as usize) < span.end) {
                positions.push(row - u32::try_from(span.start).unwrap_or(u32::MAX));
                next += 1;
            }
            found.push(Segment {
                span,
                rows: first..next,
                positions,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests;
