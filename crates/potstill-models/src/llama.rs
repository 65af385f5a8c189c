//! The Llama family: Llama, Mistral, SmolLM2, Qwen2, Qwen3.

use std::rc::Rc;
use std::sync::Arc;

use burn::prelude::*;
use potstill_core::{Encoded, LmHead, Tapped, Taps, TokenBatch};
use potstill_kernels::AttentionMask;

use crate::blocks::embedding::Embedding;
use crate::blocks::gated_mlp::GatedMlp;
use crate::blocks::linear::Linear;
use crate::blocks::mask::mask_of_batch;
use crate::blocks::recomputed::DecoderBlock;
use crate::blocks::rms_norm::RmsNorm;
use crate::blocks::rotary::Rotation;
use crate::blocks::self_attention::{Heads, Plan};
use crate::blocks::widened;
use crate::cache::{KvCache, LayerCache};
use crate::probe::Probe;
use crate::{ModelConfig, taps};

/// A decoder of the Llama family.
///
/// Pre-norm blocks of grouped-query attention with rotary positions and a gated MLP. The
/// configuration decides about biases (Qwen2) and normalized queries and keys (Qwen3).
///
/// Touvron et al., *Llama 2*, arXiv:2307.09288; *Llama 3*, arXiv:2407.21783; *Mistral 7B*,
/// arXiv:2310.06825; *Qwen2*, arXiv:2407.10671; *Qwen3*, arXiv:2505.09388.
#[derive(Module, Debug)]
pub struct Llama {
    model: Decoder,
    head_projection: Option<Linear>,
    lm_head: Option<Embedding>,
    #[module(skip)]
    config: ModelConfig,
}

/// Everything but the head.
#[derive(Module, Debug)]
struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<Block>,
    norm: RmsNorm,
}

#[derive(Module, Debug)]
struct Block {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: GatedMlp,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    #[module(skip)]
    heads: Heads,
}

impl Llama {
    /// A model whose parameters are still to be filled.
    pub(crate) fn deferred(config: &ModelConfig, device: &Device) -> Self {
        let blocks = (0..config.n_layers)
            .map(|_| Block::new(config, device))
            .collect();
        let table = |width| Embedding::new(config.vocab_size, width, device);
        let project = |rank| Linear::new(config.d_model, rank, false, device);
        Self {
            model: Decoder {
                embed_tokens: table(config.d_model),
                layers: blocks,
                norm: RmsNorm::new(config.d_model, config.norm_epsilon, device),
            },
            head_projection: config.head_rank.map(project),
            lm_head: (!config.tie_word_embeddings)
                .then(|| table(config.head_rank.unwrap_or(config.d_model))),
            config: config.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn first_projection(&self) -> &burn::module::Param<Tensor<2>> {
        self.model.layers[0].self_attn.q_proj.parameter()
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same model with these rows of its tables, as `config` says.
    pub(crate) fn with_tokens(&self, rows: &Tensor<1, Int>, config: ModelConfig) -> Self {
        let cut = |table: &Embedding| table.of_rows(rows.clone());
        Self {
            model: Decoder {
                embed_tokens: cut(&self.model.embed_tokens),
                ..self.model.clone()
            },
            head_projection: self.head_projection.clone(),
            lm_head: self.lm_head.as_ref().map(cut),
            config,
        }
    }

    /// The same model with these blocks, which are shared.
    pub(crate) fn with_blocks(&self, blocks: &[usize], config: ModelConfig) -> Self {
        let layers = &self.model.layers;
        Self {
            model: Decoder {
                layers: blocks.iter().map(|&block| layers[block].clone()).collect(),
                ..self.model.clone()
            },
            config,
            ..self.clone()
        }
    }

    /// The weight in front of a narrow head, `[d_model, rank]`.
    pub(crate) fn head_projection(&self) -> Option<Tensor<2>> {
        self.head_projection.as_ref().map(Linear::weight)
    }

    /// The same model with another head: a projection and a table for it, or a table alone.
    pub(crate) fn with_head(
        &self,
        projection: Option<Tensor<2>>,
        table: Tensor<2>,
        config: ModelConfig,
    ) -> Self {
        Self {
            head_projection: projection.map(Linear::of_weight),
            lm_head: Some(Embedding::of_table(table)),
            config,
            ..self.clone()
        }
    }

    pub(crate) fn head(&self) -> LmHead {
        LmHead::new(
            self.lm_head
                .as_ref()
                .unwrap_or(&self.model.embed_tokens)
                .table(),
        )
    }

    /// Runs the model up to the head, and shows `probe` what it sees.
    pub(crate) fn encode(
        &self,
        batch: &TokenBatch,
        taps: &Taps,
        probe: Option<Rc<Probe>>,
    ) -> Encoded {
        let mask = mask_of_batch(batch, true, self.config.effective_window());
        let plan = self.plan(batch.positions.clone(), mask, probe);
        self.run(batch.tokens.clone(), &plan, taps, None)
    }

    pub(crate) fn forward_cached(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<3> {
        let [_, new] = tokens.dims();
        let device = tokens.device();
        let config = &self.config;
        let mask = AttentionMask::of_cache(
            cache.padding(),
            cache.len() + new,
            new,
            config.effective_window(),
        );
        let positions = cache.positions(new, &device);
        let layers = cache.layers(config.n_layers, new);
        let plan = self.plan(positions, mask, None);
        let encoded = self.run(tokens, &plan, &Taps::default(), Some(layers));
        cache.advance(new);
        encoded.hidden
    }

    fn plan(
        &self,
        positions: Tensor<2, Int>,
        mask: AttentionMask,
        probe: Option<Rc<Probe>>,
    ) -> Plan {
        let rotation = self.config.rope.as_ref().map(|rope| {
            let frequencies = rope.frequencies(self.config.head_dim);
            Rotation::new(positions, &frequencies)
        });
        Plan {
            mask: Arc::new(mask),
            rotation,
            probe,
        }
    }

    fn run(
        &self,
        tokens: Tensor<2, Int>,
        plan: &Plan,
        taps: &Taps,
        mut cache: Option<&mut [LayerCache]>,
    ) -> Encoded {
        let mut x = self.model.embed_tokens.forward(tokens);
        if cache.is_some() {
            x = widened(x);
        }
        let mut tapped = Tapped::default();
        for (i, block) in self.model.layers.iter().enumerate() {
            taps::keep_hidden(&mut tapped, taps, i, &x);
            let cache = cache.as_deref_mut().map(|layers| &mut layers[i]);
            let (y, map) = block.run(x, plan, cache, taps.wants_attention(i));
            tapped.attention.extend(map.map(|map| (i, map)));
            x = y;
        }
        let hidden = self.model.norm.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &hidden));
        taps::keep_hidden(&mut tapped, taps, self.config.n_layers, &hidden);
        let hidden = match &self.head_projection {
            Some(projection) => projection.forward(hidden),
            None => hidden,
        };
        Encoded { hidden, tapped }
    }
}

impl Block {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let norm = || RmsNorm::new(config.d_model, config.norm_epsilon, device);
        Self {
            input_layernorm: norm(),
            self_attn: SelfAttention::new(config, device),
            post_attention_layernorm: norm(),
            mlp: GatedMlp::new(config, device),
        }
    }
}

impl DecoderBlock for Block {
    fn forward(
        &self,
        x: Tensor<3>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let normed = self.input_layernorm.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &normed));
        let (attended, map) = self.self_attn.forward(normed, plan, cache, want_map);
        let x = x + attended;
        let normed = self.post_attention_layernorm.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &normed));
        (x + self.mlp.forward(normed, plan), map)
    }
}

impl SelfAttention {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let heads = Heads::of(config);
        let qkv = |width| Linear::new(config.d_model, width, config.qkv_bias, device);
        let head_norm = || {
            config
                .qk_norm
                .then(|| RmsNorm::new(config.head_dim, config.norm_epsilon, device))
        };
        Self {
            q_proj: qkv(heads.width()),
            k_proj: qkv(heads.kv_width()),
            v_proj: qkv(heads.kv_width()),
            o_proj: Linear::new(heads.width(), config.d_model, config.output_bias, device),
            q_norm: head_norm(),
            k_norm: head_norm(),
            heads,
        }
    }

    fn forward(
        &self,
        x: Tensor<3>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let normed = |norm: &Option<RmsNorm>, x| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let heads = &self.heads;
        let query = normed(
            &self.q_norm,
            heads.split_query(self.q_proj.forward(x.clone())),
        );
        let key = normed(
            &self.k_norm,
            heads.split_key(self.k_proj.forward(x.clone())),
        );
        let value = heads.split_key(self.v_proj.forward(x));
        let (context, map) = heads.attend(query, key, value, plan, cache, want_map);
        (self.o_proj.forward(context), map)
    }
}
