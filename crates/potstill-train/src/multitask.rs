//! Batches in which several tasks have their shares.

use burn::prelude::Device;
use potstill_core::{TokenBatch, TokenRow};
use potstill_data::{Loader, LoaderState};
use potstill_losses::multitask_weights;
use serde_json::Value;

use crate::{BatchSource, BoxError, Demands};

/// Batches of rows whose documents belong to tasks in turns: with two shares, the first document of each
/// row is of the first task, the second of the second, and so on.
///
/// Before a batch is made, the weights of its rows are multiplied so that each task has its share of the loss,
/// however many tokens it has there. With rows from
/// [`encode_rationales`](potstill_data::encode_rationales), shares of ½ and cross-entropy this is distilling
/// step-by-step (arXiv:2305.02301). Shares hold for each micro-batch, and exactly where all tokens that
/// count have weight 1.
#[derive(Clone, Debug)]
pub struct MultitaskBatches {
    loader: Loader,
    shares: Vec<f64>,
    pad_token: u32,
    device: Device,
}

impl MultitaskBatches {
    /// Batches on `device` (autodiff is switched off), padded with `pad_token`; `shares` has one for
    /// each task.
    ///
    /// # Errors
    ///
    /// When there is no share, or one is negative or not finite.
    pub fn new(
        loader: Loader,
        shares: &[f64],
        pad_token: u32,
        device: &Device,
    ) -> Result<Self, crate::Error> {
        let valid = shares
            .iter()
            .all(|share| share.is_finite() && *share >= 0.0);
        if !valid || shares.iter().sum::<f64>() <= 0.0 {
            return Err(crate::Error::Config {
                setting: "shares",
                value: format!("{shares:?}"),
                expected: "finite numbers of at least 0, one of them above it",
            });
        }
        Ok(Self {
            loader,
            shares: shares.to_vec(),
            pad_token,
            device: device.clone().without_autodiff(),
        })
    }

    fn weigh(&self, rows: Vec<TokenRow>) -> Result<Vec<TokenRow>, BoxError> {
        let counted = |row: &TokenRow, place: usize| row.weights()[place] != 0.0;
        let task =
            |row: &TokenRow, place: usize| (row.segments()[place] as usize - 1) % self.shares.len();
        let tasks: Vec<usize> = rows
            .iter()
            .flat_map(|row| {
                let places = (0..row.len()).filter(|&place| counted(row, place));
                places.map(|place| task(row, place)).collect::<Vec<_>>()
            })
            .collect();
        let mut factors = multitask_weights(&tasks, &self.shares)?.into_iter();
        Ok(rows
            .into_iter()
            .map(|row| {
                let weights = row.weights().iter().map(|&weight| match weight {
                    0.0 => 0.0,
                    weight => weight * factors.next().unwrap_or(0.0),
                });
                let weights = weights.collect();
                row.with_weights(weights)
            })
            .collect())
    }
}

impl<S> BatchSource<S> for MultitaskBatches {
    fn next_batch(&mut self, _: &S) -> Result<Option<TokenBatch>, BoxError> {
        let Some(rows) = self.loader.next_rows() else {
            return Ok(None);
        };
        let rows = self.weigh(rows)?;
        Ok(Some(TokenBatch::from_rows(
            &rows,
            self.pad_token,
            &self.device,
        )))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.loader.batches_per_epoch())
    }

    fn demands(&self) -> Option<Demands> {
        Some(Demands::of_rows(self.loader.rows(), self.pad_token))
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(self.loader.state())?)
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        let state: LoaderState = serde_json::from_value(state.clone())?;
        Ok(self.loader.restore(&state)?)
    }
}

#[cfg(test)]
mod tests {
    use potstill_data::LoaderOptions;
    use potstill_testkit::{TinyLm, plain_device};

    use super::*;

    fn row() -> TokenRow {
        let mut row = TokenRow::document(&[1, 2, 3], &[0.0, 0.0, 1.0]);
        row.push_document(&[1, 4, 5, 6], &[0.0, 1.0, 1.0, 1.0]);
        row
    }

    fn source(shares: &[f64]) -> Result<MultitaskBatches, crate::Error> {
        let loader = Loader::new(vec![row(), row()], LoaderOptions::shuffled(2, 1)).unwrap();
        MultitaskBatches::new(loader, shares, 0, &plain_device())
    }

    #[test]
    fn each_task_has_its_share_of_the_batch() {
        let student = TinyLm::new(11, 4, 1, 1, &plain_device());
        let batch = source(&[0.5, 0.5]).unwrap().next_batch(&student);
        let rows = batch.unwrap().unwrap().rows;
        let weights = rows.weights.clone().unwrap().into_data();
        let weights: Vec<f32> = weights.iter::<f32>().collect();
        let third = 8.0 / 12.0;
        assert_eq!(
            weights,
            [2.0, third, third, third, 2.0, third, third, third]
        );
        assert!((rows.total_weight() - 8.0).abs() < 1e-5);
    }

    #[test]
    fn a_task_without_a_share_does_not_count() {
        let student = TinyLm::new(11, 4, 1, 1, &plain_device());
        let batch = source(&[1.0, 0.0]).unwrap().next_batch(&student);
        assert_eq!(batch.unwrap().unwrap().rows.count(), 2);
    }

    #[test]
    fn shares_without_a_sense_are_refused() {
        for shares in [&[][..], &[0.0, 0.0], &[-1.0, 2.0], &[f64::NAN]] {
            let error = source(shares).unwrap_err().to_string();
            assert!(error.starts_with("shares is ["), "{error}");
        }
    }
}
