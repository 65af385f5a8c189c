//! A language model small enough for any test.

use burn::module::Param;
use burn::prelude::*;
use potstill_core::{CausalLm, Encoded, LmHead, Tapped, Taps, TokenBatch};

use crate::normals;

/// A causal language model that sees the current token and, through its blocks, earlier ones of the
/// same segment; block `i` reaches one token further back.
///
/// The head is tied to the embedding, so that tests notice a parameter that is counted or updated
/// twice. There is no attention: tapping an attention map panics.
#[derive(Module, Debug)]
pub struct TinyLm {
    embedding: Param<Tensor<2>>,
    blocks: Vec<TinyBlock>,
    norm: Param<Tensor<1>>,
    max_positions: usize,
}

/// `x + tanh(x · current + previous(x) · previous + bias) · out`.
#[derive(Module, Debug)]
pub struct TinyBlock {
    current: Param<Tensor<2>>,
    previous: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    out: Param<Tensor<2>>,
}

impl TinyLm {
    /// A model with random weights; the same seed gives the same weights.
    #[must_use]
    pub fn new(
        vocab_size: usize,
        d_model: usize,
        n_layers: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut stream = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut matrix = |rows: usize, columns: usize, scale: f64| {
            stream = stream.wrapping_add(1);
            let values = normals(rows * columns, scale, stream);
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let fan_in = (d_model as f64).powf(-0.5);
        let embedding = Param::from_tensor(matrix(vocab_size, d_model, 0.5));
        let blocks = (0..n_layers)
            .map(|_| TinyBlock {
                current: Param::from_tensor(matrix(d_model, d_model, fan_in)),
                previous: Param::from_tensor(matrix(d_model, d_model, fan_in)),
                bias: Param::from_tensor(Tensor::zeros([d_model], device)),
                out: Param::from_tensor(matrix(d_model, d_model, fan_in)),
            })
            .collect();
        let norm = Param::from_tensor(Tensor::ones([d_model], device));
        Self {
            embedding,
            blocks,
            norm,
            max_positions: 4096,
        }
    }

    /// The same model with another longest segment.
    #[must_use]
    pub fn with_max_positions(mut self, max_positions: usize) -> Self {
        self.max_positions = max_positions;
        self
    }
}

impl TinyBlock {
    fn forward(&self, x: Tensor<3>, has_previous: &Tensor<3, Bool>) -> Tensor<3> {
        let [batch, seq, d_model] = x.dims();
        let first = Tensor::zeros([batch, 1, d_model], (&x.device(), x.dtype()));
        let previous = Tensor::cat(vec![first, x.clone()], 1)
            .narrow(1, 0, seq)
            .mask_fill(
                has_previous
                    .clone()
                    .bool_not()
                    .expand([batch, seq, d_model]),
                0.0,
            );
        let mixed = x.clone().matmul(self.current.val().unsqueeze())
            + previous.matmul(self.previous.val().unsqueeze())
            + self.bias.val().unsqueeze();
        x + mixed.tanh().matmul(self.out.val().unsqueeze())
    }
}

impl CausalLm for TinyLm {
    fn encode(&self, batch: &TokenBatch, taps: &Taps) -> Encoded {
        if let Some((kind, layer, last)) = taps.out_of_range(self.n_layers()) {
            panic!("no {kind} {layer}, the last one is {last}");
        }
        assert!(
            taps.attention_layers().is_empty(),
            "a TinyLm has no attention maps"
        );
        assert!(
            batch.longest_segment() <= self.max_positions,
            "a segment of {} tokens is longer than {}",
            batch.longest_segment(),
            self.max_positions
        );
        let [rows, seq] = batch.dims();
        let flat = batch.tokens.clone().reshape([rows * seq]);
        let mut x = self
            .embedding
            .val()
            .select(0, flat)
            .reshape([rows, seq, self.d_model()]);
        let has_previous = batch
            .positions
            .clone()
            .greater_scalar(0)
            .unsqueeze_dim::<3>(2);
        let mut tapped = Tapped::default();
        for (layer, block) in self.blocks.iter().enumerate() {
            if taps.wants_hidden(layer) {
                tapped.hidden.push((layer, x.clone()));
            }
            x = block.forward(x, &has_previous);
        }
        let mean_square = x.clone().square().mean_dim(2);
        let hidden = x / (mean_square + 1e-5).sqrt() * self.norm.val().unsqueeze();
        if taps.wants_hidden(self.blocks.len()) {
            tapped.hidden.push((self.blocks.len(), hidden.clone()));
        }
        Encoded { hidden, tapped }
    }

    fn head(&self) -> LmHead {
        LmHead::new(self.embedding.val())
    }

    fn vocab_size(&self) -> usize {
        self.embedding.dims()[0]
    }

    fn n_layers(&self) -> usize {
        self.blocks.len()
    }

    fn d_model(&self) -> usize {
        self.embedding.dims()[1]
    }

    fn max_positions(&self) -> usize {
        self.max_positions
    }
}

#[cfg(test)]
mod tests;
