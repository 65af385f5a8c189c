//! What the benches share: the shape of SmolLM2-135M, random inputs, and how long to measure.

use std::time::Duration;

use criterion::Criterion;
use potstill::burn::tensor::{Device, Distribution, Tensor};
use potstill::core::{TokenBatch, TokenRow};
use potstill::models::{Architecture, ModelConfig, Rope};

/// The kernel hands out fresh pages for every large tensor otherwise; the other binaries do the
/// same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens of SmolLM2.
pub const VOCAB: usize = 49_152;

/// Width of SmolLM2-135M.
pub const D_MODEL: usize = 576;

/// Rows of a batch of tokens.
pub const BATCH: usize = 4;

/// Positions of a row.
pub const SEQ: usize = 256;

/// SmolLM2-135M with `n_layers` blocks instead of 30.
#[must_use]
pub fn smollm2(n_layers: usize) -> ModelConfig {
    ModelConfig {
        n_kv_heads: 3,
        d_ff: 1536,
        norm_epsilon: 1e-5,
        rope: Some(Rope {
            theta: 100_000.0,
            scaling: None,
        }),
        tie_word_embeddings: true,
        ..ModelConfig::new(Architecture::Llama, VOCAB, D_MODEL, n_layers, 9)
    }
}

/// Token ids that look random and are the same in every run.
#[must_use]
pub fn tokens(count: usize, stream: u32) -> Vec<u32> {
    (0..count as u32)
        .map(|index| {
            let mixed = (index ^ stream.rotate_left(16)).wrapping_mul(0x9E37_79B1);
            (mixed >> 8) % VOCAB as u32
        })
        .collect()
}

/// [`BATCH`] rows of [`SEQ`] positions, all of which count.
#[must_use]
pub fn token_batch(device: &Device) -> TokenBatch {
    let rows: Vec<TokenRow> = (0..BATCH)
        .map(|row| TokenRow::document(&tokens(SEQ + 1, row as u32), &[1.0; SEQ + 1]))
        .collect();
    TokenBatch::from_rows(&rows, 0, device)
}

/// Normally distributed values around 0.
#[must_use]
pub fn normal(shape: [usize; 2], deviation: f64, device: &Device) -> Tensor<2> {
    Tensor::random(shape, Distribution::Normal(0.0, deviation), device)
}

/// Few samples: one of these takes up to a second or two, and all benches together should take
/// minutes.
#[must_use]
pub fn few_samples() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args()
}
