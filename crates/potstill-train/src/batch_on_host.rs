//! A batch where it can be cut in two and written to a file.

use burn::prelude::*;
use burn::tensor::Transaction;
use potstill_core::TokenBatch;

use crate::BoxError;

/// The values of a [`TokenBatch`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BatchOnHost {
    pub(crate) shape: [usize; 2],
    pub(crate) tokens: Vec<u32>,
    pub(crate) segments: Vec<u32>,
    pub(crate) targets: Vec<u32>,
    /// Of each position; 0 where it does not count.
    pub(crate) weights: Vec<f32>,
}

impl BatchOnHost {
    pub(crate) fn read(batch: &TokenBatch) -> Result<Self, BoxError> {
        let mut transaction = Transaction::default()
            .register(batch.tokens.clone())
            .register(batch.segments.clone())
            .register(batch.targets.clone())
            .register(batch.rows.indices.clone());
        if let Some(weights) = &batch.rows.weights {
            transaction = transaction.register(weights.clone());
        }
        let mut data = transaction.try_execute()?.into_iter();
        let mut ints = || -> Vec<u32> {
            let values = data.next().into_iter();
            values
                .flat_map(|data| data.iter::<u32>().collect::<Vec<_>>())
                .collect()
        };
        let (tokens, segments, targets, rows) = (ints(), ints(), ints(), ints());
        let row_weights = data
            .next()
            .map(|data| data.iter::<f32>().collect::<Vec<_>>());
        let shape = batch.dims();
        let mut weights = vec![0.0; shape[0] * shape[1]];
        for (i, row) in rows.into_iter().enumerate() {
            weights[row as usize] = row_weights.as_ref().map_or(1.0, |weights| weights[i]);
        }
        Ok(Self {
            shape,
            tokens,
            segments,
            targets,
            weights,
        })
    }

    pub(crate) fn on_device(&self, device: &Device) -> TokenBatch {
        TokenBatch::new(
            self.shape,
            &self.tokens,
            &self.segments,
            &self.targets,
            &self.weights,
            device,
        )
    }

    /// The upper and the lower half of the rows of the batch, of which there must be two.
    fn halves(&self) -> [Self; 2] {
        let [batch, seq] = self.shape;
        let upper = batch / 2;
        [0..upper, upper..batch].map(|rows| {
            let places = rows.start * seq..rows.end * seq;
            Self {
                shape: [rows.len(), seq],
                tokens: self.tokens[places.clone()].to_vec(),
                segments: self.segments[places.clone()].to_vec(),
                targets: self.targets[places.clone()].to_vec(),
                weights: self.weights[places].to_vec(),
            }
        })
    }
}

/// Each batch as two of half as many rows; those of a single row stay whole.
pub(crate) fn halved(batches: &[TokenBatch]) -> Result<Vec<TokenBatch>, BoxError> {
    let mut halves = Vec::with_capacity(2 * batches.len());
    for batch in batches {
        if batch.dims()[0] < 2 {
            halves.push(batch.clone());
            continue;
        }
        let device = batch.tokens.device();
        let host = BatchOnHost::read(batch)?;
        halves.extend(host.halves().map(|half| half.on_device(&device)));
    }
    Ok(halves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch, row};

    #[test]
    fn two_halves_hold_the_rows_of_the_whole() {
        let whole = batch(&[row(1, 9), row(2, 4), row(3, 7)]);
        let halves = halved(&[whole.clone(), batch(&[row(4, 3)])]).unwrap();
        let shapes: Vec<_> = halves.iter().map(TokenBatch::dims).collect();
        assert_eq!(shapes, [[1, 8], [2, 8], [1, 2]]);
        let whole = BatchOnHost::read(&whole).unwrap();
        let [upper, lower] = [0, 1].map(|i| BatchOnHost::read(&halves[i]).unwrap());
        for (whole, upper, lower) in [
            (&whole.tokens, upper.tokens, lower.tokens),
            (&whole.segments, upper.segments, lower.segments),
            (&whole.targets, upper.targets, lower.targets),
        ] {
            assert_eq!(*whole, [upper, lower].concat());
        }
        assert_eq!(whole.weights, [upper.weights, lower.weights].concat());
    }
}
