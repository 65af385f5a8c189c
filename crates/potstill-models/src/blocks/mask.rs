//! Who sees whom in a batch.

use potstill_core::TokenBatch;
use potstill_kernels::AttentionMask;

/// Attention inside segments, causal with an optional window or both ways.
///
/// Padding counts as a segment of its own: its values are meaningless but finite.
pub(crate) fn mask_of_batch(
    batch: &TokenBatch,
    causal: bool,
    window: Option<usize>,
) -> AttentionMask {
    let [_, seq] = batch.dims();
    let mask = if causal {
        AttentionMask::causal(seq, window)
    } else {
        AttentionMask::bidirectional(seq)
    };
    if batch.is_plain_causal() {
        mask
    } else {
        mask.within_segments(batch.segments.clone())
    }
}
