//! How hard a row is for a model.

use burn::prelude::*;
use potstill_core::{Prediction, Taps, Teacher, TokenBatch, TokenRow};
use potstill_kernels::{CrossEntropy, HeadRows};

use crate::Error;

/// The mean cross-entropy, in nats per token that counts, that `teacher` has on each row; a row of which nothing
/// counts has 0.
///
/// Rows go through the teacher `batch_size` at a time.
///
/// # Errors
///
/// When the teacher fails or does not give logits, or a loss cannot be read from its device.
///
/// # Panics
///
/// Panics if `batch_size` is 0.
pub fn row_losses(
    teacher: &mut dyn Teacher,
    rows: &[TokenRow],
    batch_size: usize,
    pad_token: u32,
    device: &Device,
) -> Result<Vec<f64>, Error> {
    let mut losses = Vec::with_capacity(rows.len());
    for rows in rows.chunks(batch_size) {
        let batch = TokenBatch::from_rows(rows, pad_token, &device.clone().without_autodiff());
        let mut of_tokens = token_losses(teacher, &batch)?.into_iter();
        for row in rows {
            let weights = row.weights().iter().filter(|weight| **weight != 0.0);
            let (mut sum, mut total) = (0.0, 0.0);
            for (weight, loss) in weights.zip(of_tokens.by_ref()) {
                sum += f64::from(*weight) * loss;
                total += f64::from(*weight);
            }
            losses.push(if total > 0.0 { sum / total } else { 0.0 });
        }
    }
    Ok(losses)
}

fn token_losses(teacher: &mut dyn Teacher, batch: &TokenBatch) -> Result<Vec<f64>, Error> {
    if batch.rows.count() == 0 {
        return Ok(Vec::new());
    }
    let cannot = |source| Error::Difficulty { source };
    let signal = teacher.signal(batch, &Taps::default());
    let targets = batch.row_targets();
    let losses = match signal.map_err(|source| cannot(source.into()))?.prediction {
        Prediction::Deferred { hidden, head } => HeadRows {
            hidden: &hidden,
            head: &head,
            teacher: &Prediction::None,
            targets: Some(&targets),
            chunk_rows: None,
        }
        .per_row(&CrossEntropy::default()),
        Prediction::Dense(logits) => burn::tensor::activation::log_softmax(logits, 1)
            .gather(1, targets.unsqueeze_dim::<2>(1))
            .squeeze_dim::<1>(1)
            .neg(),
        other => {
            let kind = other.kind();
            return Err(cannot(
                format!("the teacher's prediction is {kind}, it must be deferred or dense").into(),
            ));
        }
    };
    let losses = losses
        .try_into_data()
        .map_err(|error| cannot(error.into()))?;
    Ok(losses.iter::<f64>().collect())
}
