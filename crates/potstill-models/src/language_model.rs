//! One type for every causal language model.

use std::rc::Rc;

use burn::prelude::*;
use potstill_core::{CausalLm, Encoded, LmHead, Taps, TokenBatch};
use potstill_kernels::linear;

use crate::probe::Probe;
use crate::quantization::Dequantize;
use crate::{Architecture, Gpt2, KvCache, Llama, ModelConfig, weights};

/// A causal language model of any supported architecture, student or teacher.
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{CausalLm, TokenBatch, TokenRow};
/// use potstill_models::{Architecture, LanguageModel, ModelConfig};
///
/// let device = Device::default();
/// let config = ModelConfig::new(Architecture::Llama, 32, 16, 2, 2);
/// let model = LanguageModel::init(&config, 42, &device);
/// let row = TokenRow::document(&[1, 2, 3, 4], &[1.0; 4]);
/// let batch = TokenBatch::from_rows(&[row], 0, &device);
/// assert_eq!(model.row_logits(&batch).dims(), [3, 32]);
/// ```
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one value a model, and boxes are no modules"
)]
pub enum LanguageModel {
    /// Llama, Mistral, SmolLM2, Qwen2, Qwen3.
    Llama(Llama),
    /// GPT-2.
    Gpt2(Gpt2),
}

impl LanguageModel {
    /// A fresh model in f32: projections and tables from a normal distribution of standard
    /// deviation [`ModelConfig::initializer_range`], norms 1, biases 0.
    ///
    /// The same seed gives the same weights, whatever else has drawn random numbers.
    ///
    /// # Panics
    ///
    /// Panics if `config` is not [valid](ModelConfig::validate) or describes an encoder.
    #[must_use]
    pub fn init(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        if let Err(error) = config.validate() {
            panic!("the configuration is not valid: {error}");
        }
        weights::initialize(Self::deferred(config, device), config, seed, device)
    }

    /// A model whose parameters are still to be filled.
    ///
    /// # Panics
    ///
    /// Panics if `config` describes an encoder.
    pub(crate) fn deferred(config: &ModelConfig, device: &Device) -> Self {
        match config.architecture {
            Architecture::Gpt2 => Self::Gpt2(Gpt2::deferred(config, device)),
            Architecture::Bert => panic!("BERT is an encoder, see BertEncoder"),
            _ => Self::Llama(Llama::deferred(config, device)),
        }
    }

    /// What the model is.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        match self {
            Self::Llama(model) => model.config(),
            Self::Gpt2(model) => model.config(),
        }
    }

    /// An ordinary model that computes the same: without autodiff, adapters, integers, or factors of a
    /// head.
    #[must_use]
    pub fn merged(&self) -> Self {
        let floats = self.valid().materialize().map(&mut Dequantize);
        floats.with_merged_head()
    }

    /// Shows `probe` what a pass over `batch` sees.
    pub(crate) fn show(&self, batch: &TokenBatch, probe: Rc<Probe>) {
        let taps = Taps::default();
        crate::taps::check(self.config(), batch, &taps);
        match self {
            Self::Llama(model) => model.encode(batch, &taps, Some(probe)),
            Self::Gpt2(model) => model.encode(batch, &taps, Some(probe)),
        };
    }

    /// The same model with these of its blocks only, which are shared.
    pub(crate) fn with_blocks(&self, blocks: &[usize]) -> Self {
        let config = ModelConfig {
            n_layers: blocks.len(),
            ..self.config().clone()
        };
        match self {
            Self::Llama(model) => Self::Llama(model.with_blocks(blocks, config)),
            Self::Gpt2(model) => Self::Gpt2(model.with_blocks(blocks, config)),
        }
    }

    /// Reads `tokens` behind what `cache` holds and returns the hidden state of the last column,
    /// final norm applied: what [`head`](CausalLm::head) reads.
    ///
    /// Activations, keys and values are in f32 whatever the dtype of the weights.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, new]`
    /// - output: `[batch, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if `tokens` has not as many rows as the cache, does not fit its capacity, or a row
    /// grows beyond the model's positions.
    #[must_use]
    pub fn forward_cached(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<2> {
        let [batch, new] = tokens.dims();
        assert_eq!(
            batch,
            cache.batch(),
            "the input has as many rows as the cache"
        );
        let least_padding = cache.padding().iter().min().map_or(0, |&padding| padding);
        let longest = (cache.len() + new).saturating_sub(least_padding);
        assert!(
            longest <= self.max_positions(),
            "a sequence of {longest} tokens does not fit the model's {} positions",
            self.max_positions()
        );
        let hidden = match self {
            Self::Llama(model) => model.forward_cached(tokens, cache),
            Self::Gpt2(model) => model.forward_cached(tokens, cache),
        };
        hidden.narrow(1, new - 1, 1).squeeze_dim(1)
    }

    /// Reads `tokens` behind what `cache` holds and returns the logits of what follows, in f32.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `[batch, new]`
    /// - output: `[batch, vocab]`
    ///
    /// # Panics
    ///
    /// Panics where [`forward_cached`](Self::forward_cached) does.
    #[must_use]
    pub fn next_logits(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<2> {
        let hidden = self.forward_cached(tokens, cache);
        let head = self.head();
        head.logits_of_products(linear(hidden, head.weight.clone().transpose(), None))
    }
}

impl CausalLm for LanguageModel {
    fn encode(&self, batch: &TokenBatch, taps: &Taps) -> Encoded {
        crate::taps::check(self.config(), batch, taps);
        match self {
            Self::Llama(model) => model.encode(batch, taps, None),
            Self::Gpt2(model) => model.encode(batch, taps, None),
        }
    }

    fn head(&self) -> LmHead {
        match self {
            Self::Llama(model) => model.head(),
            Self::Gpt2(model) => model.head(),
        }
    }

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn n_layers(&self) -> usize {
        self.config().n_layers
    }

    fn d_model(&self) -> usize {
        self.config().d_model
    }

    fn max_positions(&self) -> usize {
        self.config().max_positions
    }
}
