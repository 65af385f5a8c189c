//! BERT as an encoder.

use std::sync::Arc;

use burn::prelude::*;
use potstill_core::{Encoded, Tapped, Taps, TokenBatch};
use potstill_kernels::activate;

use crate::blocks::embedding::Embedding;
use crate::blocks::layer_norm::LayerNorm;
use crate::blocks::linear::Linear;
use crate::blocks::mask::mask_of_batch;
use crate::blocks::self_attention::{Heads, Plan};
use crate::{Activation, Architecture, ModelConfig, taps, weights};

/// BERT: attention both ways inside a segment, post-norm blocks.
///
/// Positions are those of the batch. They restart with every segment, where `transformers` counts
/// columns; the two differ only for rows padded on the left. Set
/// [`TokenBatch::positions`] to change that.
///
/// Devlin et al., *BERT*, arXiv:1810.04805.
#[derive(Module, Debug)]
pub struct BertEncoder {
    embeddings: Embeddings,
    encoder: Layers,
    pooler: Option<Pooler>,
    #[module(skip)]
    config: ModelConfig,
}

#[derive(Module, Debug)]
struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
    self_attention: SelfAttention,
    output: Output,
}

#[derive(Module, Debug)]
struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    #[module(skip)]
    heads: Heads,
}

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
    #[module(skip)]
    activation: Activation,
}

/// A projection back to the residual stream, and the norm after it.
#[derive(Module, Debug)]
struct Output {
    dense: Linear,
    layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Pooler {
    dense: Linear,
}

impl BertEncoder {
    /// A fresh encoder with a pooler; the same seed gives the same weights.
    ///
    /// # Panics
    ///
    /// Panics if `config` is not a valid BERT configuration.
    #[must_use]
    pub fn init(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        assert_eq!(
            config.architecture,
            Architecture::Bert,
            "an encoder needs a BERT configuration"
        );
        if let Err(error) = config.validate() {
            panic!("the configuration is not valid: {error}");
        }
        weights::initialize(Self::deferred(config, true, device), config, seed, device)
    }

    /// A model whose parameters are still to be filled.
    pub(crate) fn deferred(config: &ModelConfig, pooler: bool, device: &Device) -> Self {
        let d_model = config.d_model;
        let table = |rows| Embedding::new(rows, d_model, device);
        Self {
            embeddings: Embeddings {
                word_embeddings: table(config.vocab_size),
                position_embeddings: table(config.max_positions),
                token_type_embeddings: table(config.n_token_types),
                layer_norm: LayerNorm::new(d_model, config.norm_epsilon, device),
            },
            encoder: Layers {
                layer: (0..config.n_layers)
                    .map(|_| Block::new(config, device))
                    .collect(),
            },
            pooler: pooler.then(|| Pooler {
                dense: Linear::new(d_model, d_model, true, device),
            }),
            config: config.clone(),
        }
    }

    /// What the encoder is.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Runs the encoder with every token of type 0.
    ///
    /// # Panics
    ///
    /// As [`encode_with_types`](Self::encode_with_types).
    #[must_use]
    pub fn encode(&self, batch: &TokenBatch, taps: &Taps) -> Encoded {
        let types = batch.tokens.clone().zeros_like();
        self.encode_with_types(batch, types, taps)
    }

    /// Runs the encoder.
    ///
    /// Hidden states are numbered as [`Taps`] says, but none is taken after a final norm, since
    /// BERT has none.
    ///
    /// # Shapes
    ///
    /// - `token_types`: `[batch, seq]`
    ///
    /// # Panics
    ///
    /// Panics if a tap names a layer that does not exist, or a segment is longer than the model's
    /// positions.
    #[must_use]
    pub fn encode_with_types(
        &self,
        batch: &TokenBatch,
        token_types: Tensor<2, Int>,
        taps: &Taps,
    ) -> Encoded {
        taps::check(&self.config, batch, taps);
        let embeddings = &self.embeddings;
        let x = embeddings.word_embeddings.forward(batch.tokens.clone())
            + embeddings.token_type_embeddings.forward(token_types)
            + embeddings
                .position_embeddings
                .forward(batch.positions.clone());
        let mut x = embeddings.layer_norm.forward(x);
        let plan = Plan {
            probe: None,
            mask: Arc::new(mask_of_batch(batch, false, None)),
            rotation: None,
        };
        let mut tapped = Tapped::default();
        for (i, block) in self.encoder.layer.iter().enumerate() {
            taps::keep_hidden(&mut tapped, taps, i, &x);
            let (y, map) = block.forward(x, &plan, taps.wants_attention(i));
            tapped.attention.extend(map.map(|map| (i, map)));
            x = y;
        }
        taps::keep_hidden(&mut tapped, taps, self.config.n_layers, &x);
        Encoded { hidden: x, tapped }
    }

    /// The pooled vector of each row: `tanh(dense(hidden[0]))`. `None` if the checkpoint had no
    /// pooler.
    ///
    /// # Shapes
    ///
    /// - `hidden`: `[batch, seq, d_model]`
    /// - output: `[batch, d_model]`
    #[must_use]
    pub fn pool(&self, hidden: Tensor<3>) -> Option<Tensor<2>> {
        let first = hidden.narrow(1, 0, 1);
        self.pooler
            .as_ref()
            .map(|pooler| pooler.dense.forward(first).tanh().squeeze_dim(1))
    }
}

impl Block {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let d_model = config.d_model;
        let linear = |d_in, d_out| Linear::new(d_in, d_out, true, device);
        let output = |d_in| Output {
            dense: linear(d_in, d_model),
            layer_norm: LayerNorm::new(d_model, config.norm_epsilon, device),
        };
        Self {
            attention: Attention {
                self_attention: SelfAttention {
                    query: linear(d_model, d_model),
                    key: linear(d_model, d_model),
                    value: linear(d_model, d_model),
                    heads: Heads::of(config),
                },
                output: output(d_model),
            },
            intermediate: Intermediate {
                dense: linear(d_model, config.d_ff),
                activation: config.activation,
            },
            output: output(config.d_ff),
        }
    }

    fn forward(&self, x: Tensor<3>, plan: &Plan, want_map: bool) -> (Tensor<3>, Option<Tensor<4>>) {
        let attention = &self.attention.self_attention;
        let heads = &attention.heads;
        let query = heads.split_query(attention.query.forward(x.clone()));
        let key = heads.split_key(attention.key.forward(x.clone()));
        let value = heads.split_key(attention.value.forward(x.clone()));
        let (context, map) = heads.attend(query, key, value, plan, None, want_map);
        let x = self.attention.output.forward(context, x);
        let inner = activate(
            self.intermediate.activation,
            self.intermediate.dense.forward(x.clone()),
        );
        (self.output.forward(inner, x), map)
    }
}

impl Output {
    fn forward(&self, inner: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.layer_norm
            .forward(self.dense.forward(inner) + residual)
    }
}
