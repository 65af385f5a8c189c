//! GPT-2.

use std::rc::Rc;
use std::sync::Arc;

use burn::prelude::*;
use potstill_core::{Encoded, LmHead, Tapped, Taps, TokenBatch};
use potstill_kernels::{AttentionMask, activate};

use crate::blocks::embedding::Embedding;
use crate::blocks::layer_norm::LayerNorm;
use crate::blocks::linear::Linear;
use crate::blocks::mask::mask_of_batch;
use crate::blocks::recomputed::DecoderBlock;
use crate::blocks::self_attention::{Heads, Plan};
use crate::blocks::widened;
use crate::cache::{KvCache, LayerCache};
use crate::probe::Probe;
use crate::{Activation, ModelConfig, taps};

/// GPT-2: learned positions, pre-norm blocks with layer norms, a GELU MLP.
///
/// Radford et al., *Language Models are Unsupervised Multitask Learners*, 2019.
#[derive(Module, Debug)]
pub struct Gpt2 {
    transformer: Decoder,
    head_projection: Option<Linear>,
    lm_head: Option<Embedding>,
    #[module(skip)]
    config: ModelConfig,
}

/// Everything but the head.
#[derive(Module, Debug)]
struct Decoder {
    wte: Embedding,
    wpe: Embedding,
    h: Vec<Block>,
    ln_f: LayerNorm,
}

#[derive(Module, Debug)]
struct Block {
    ln_1: LayerNorm,
    attn: SelfAttention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct SelfAttention {
    c_attn: Linear,
    c_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

#[derive(Module, Debug)]
struct Mlp {
    c_fc: Linear,
    c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Gpt2 {
    /// A model whose parameters are still to be filled.
    pub(crate) fn deferred(config: &ModelConfig, device: &Device) -> Self {
        let table = |rows| Embedding::new(rows, config.d_model, device);
        let project = |rank| Linear::new(config.d_model, rank, false, device);
        let head_width = config.head_rank.unwrap_or(config.d_model);
        Self {
            transformer: Decoder {
                wte: table(config.vocab_size),
                wpe: table(config.max_positions),
                h: (0..config.n_layers)
                    .map(|_| Block::new(config, device))
                    .collect(),
                ln_f: LayerNorm::new(config.d_model, config.norm_epsilon, device),
            },
            head_projection: config.head_rank.map(project),
            lm_head: (!config.tie_word_embeddings)
                .then(|| Embedding::new(config.vocab_size, head_width, device)),
            config: config.clone(),
        }
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same model with these rows of its tables, as `config` says.
    pub(crate) fn with_tokens(&self, rows: &Tensor<1, Int>, config: ModelConfig) -> Self {
        let cut = |table: &Embedding| table.of_rows(rows.clone());
        Self {
            transformer: Decoder {
                wte: cut(&self.transformer.wte),
                ..self.transformer.clone()
            },
            head_projection: self.head_projection.clone(),
            lm_head: self.lm_head.as_ref().map(cut),
            config,
        }
    }

    /// The same model with these blocks, which are shared.
    pub(crate) fn with_blocks(&self, blocks: &[usize], config: ModelConfig) -> Self {
        let h = &self.transformer.h;
        Self {
            transformer: Decoder {
                h: blocks.iter().map(|&block| h[block].clone()).collect(),
                ..self.transformer.clone()
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
                .unwrap_or(&self.transformer.wte)
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
        let mask = mask_of_batch(batch, true, None);
        let plan = plan(mask, probe);
        let (tokens, positions) = (batch.tokens.clone(), batch.positions.clone());
        self.run(tokens, positions, &plan, taps, None)
    }

    pub(crate) fn forward_cached(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<3> {
        let [_, new] = tokens.dims();
        let device = tokens.device();
        let mask = AttentionMask::of_cache(cache.padding(), cache.len() + new, new, None);
        let positions = cache.positions(new, &device);
        let layers = cache.layers(self.config.n_layers, new);
        let plan = plan(mask, None);
        let encoded = self.run(tokens, positions, &plan, &Taps::default(), Some(layers));
        cache.advance(new);
        encoded.hidden
    }

    fn run(
        &self,
        tokens: Tensor<2, Int>,
        positions: Tensor<2, Int>,
        plan: &Plan,
        taps: &Taps,
        mut cache: Option<&mut [LayerCache]>,
    ) -> Encoded {
        let decoder = &self.transformer;
        let (tokens, positions) = (decoder.wte.forward(tokens), decoder.wpe.forward(positions));
        let mut x = if cache.is_some() {
            widened(tokens) + widened(positions)
        } else {
            tokens + positions
        };
        let mut tapped = Tapped::default();
        for (i, block) in decoder.h.iter().enumerate() {
            taps::keep_hidden(&mut tapped, taps, i, &x);
            let cache = cache.as_deref_mut().map(|layers| &mut layers[i]);
            let (y, map) = block.run(x, plan, cache, taps.wants_attention(i));
            tapped.attention.extend(map.map(|map| (i, map)));
            x = y;
        }
        let hidden = decoder.ln_f.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &hidden));
        taps::keep_hidden(&mut tapped, taps, self.config.n_layers, &hidden);
        let hidden = match &self.head_projection {
            Some(projection) => projection.forward(hidden),
            None => hidden,
        };
        Encoded { hidden, tapped }
    }
}

fn plan(mask: AttentionMask, probe: Option<Rc<Probe>>) -> Plan {
    Plan {
        mask: Arc::new(mask),
        rotation: None,
        probe,
    }
}

impl Block {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let norm = || LayerNorm::new(config.d_model, config.norm_epsilon, device);
        let linear = |d_in, d_out, bias| Linear::new(d_in, d_out, bias, device);
        let d_model = config.d_model;
        Self {
            ln_1: norm(),
            attn: SelfAttention {
                c_attn: linear(d_model, 3 * d_model, config.qkv_bias),
                c_proj: linear(d_model, d_model, config.output_bias),
                heads: Heads::of(config),
            },
            ln_2: norm(),
            mlp: Mlp {
                c_fc: linear(d_model, config.d_ff, config.mlp_bias),
                c_proj: linear(config.d_ff, d_model, config.mlp_bias),
                activation: config.activation,
            },
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
        let normed = self.ln_1.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &normed));
        let (attended, map) = self.attn.forward(normed, plan, cache, want_map);
        let x = x + attended;
        let normed = self.ln_2.forward(x.clone());
        plan.show(|probe| probe.norm(&x, &normed));
        (x + self.mlp.forward(normed, plan), map)
    }
}

impl SelfAttention {
    fn forward(
        &self,
        x: Tensor<3>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let heads = &self.heads;
        let width = heads.width();
        let qkv = self.c_attn.forward(x);
        let part = |i: usize| heads.split_query(qkv.clone().narrow(2, i * width, width));
        let (context, map) = heads.attend(part(0), part(1), part(2), plan, cache, want_map);
        (self.c_proj.forward(context), map)
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>, plan: &Plan) -> Tensor<3> {
        let activated = activate(self.activation, self.c_fc.forward(x));
        plan.show(|probe| probe.neurons(&activated));
        self.c_proj.forward(activated)
    }
}
