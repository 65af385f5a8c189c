//! Cross-entropy on one row, its gradient in the place of the logits.

use super::passes::update;
use super::softmax::{Normalizer, probability};
use crate::CrossEntropy;

/// The cross-entropy against `target`; its gradient is multiplied by `factor` if one is wanted.
///
/// # Panics
///
/// Panics if the target is beyond the vocabulary.
#[inline(always)]
pub(super) fn cross_entropy(
    loss: CrossEntropy,
    logits: &mut [f32],
    target: usize,
    factor: Option<f32>,
) -> f64 {
    let vocab = logits.len();
    assert!(
        target < vocab,
        "target {target} is beyond the vocabulary of {vocab} tokens"
    );
    let normalizer = Normalizer::relative_to_largest(logits, 1.0);
    let of_target = f64::from(normalizer.log_probability(logits[target]));
    let [total, log_sum] = update(
        logits,
        #[inline(always)]
        |logit| {
            let shifted = normalizer.log_probability(logit);
            let q = probability(shifted);
            (q, [q, shifted])
        },
    );
    let log_total = total.ln();
    let spread = loss.smoothing / vocab as f64;
    if let Some(factor) = factor {
        let factor = f64::from(factor);
        let (scale, everywhere) = ((factor / total) as f32, (factor * spread) as f32);
        for q in logits.iter_mut() {
            *q = *q * scale - everywhere;
        }
        logits[target] -= (factor * (1.0 - loss.smoothing)) as f32;
    }
    let value = (1.0 - loss.smoothing) * (log_total - of_target);
    if loss.smoothing == 0.0 {
        value
    } else {
        value - spread * (log_sum - vocab as f64 * log_total)
    }
}
