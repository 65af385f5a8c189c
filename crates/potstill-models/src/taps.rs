//! Keeping the hidden states that were asked for.

use burn::prelude::*;
use potstill_core::{Tapped, Taps, TokenBatch};

use crate::ModelConfig;

/// Keeps `hidden` if `layer` is tapped.
///
/// # Shapes
///
/// - `hidden`: `[batch, seq, d_model]`
pub(crate) fn keep_hidden(tapped: &mut Tapped, taps: &Taps, layer: usize, hidden: &Tensor<3>) {
    if taps.wants_hidden(layer) {
        tapped.hidden.push((layer, hidden.clone()));
    }
}

/// Refuses taps that do not exist and segments that are too long.
///
/// # Panics
///
/// Panics if so.
pub(crate) fn check(config: &ModelConfig, batch: &TokenBatch, taps: &Taps) {
    if let Some((kind, layer, last)) = taps.out_of_range(config.n_layers) {
        panic!("{kind} {layer} is tapped, the last one is {last}");
    }
    let longest = batch.longest_segment();
    assert!(
        longest <= config.max_positions,
        "a segment of {longest} tokens does not fit the model's {} positions",
        config.max_positions
    );
}
