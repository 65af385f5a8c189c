//! What a model is: architecture, sizes and options, as `config.json` states them.

use potstill_kernels::Activation;
use serde_json::{Map, Value};

use crate::Error;

mod parse;
mod rope;
mod write;

pub use rope::{Rope, RopeScaling};

/// A family of checkpoints that share tensor names and wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM2 and whatever else says `"model_type": "llama"`.
    Llama,
    /// Mistral: Llama with an optional sliding window.
    Mistral,
    /// Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.
    Qwen2,
    /// Qwen3: Llama with normalized queries and keys.
    Qwen3,
    /// GPT-2: learned positions, layer norms, a plain MLP.
    Gpt2,
    /// BERT: an encoder.
    Bert,
}

impl Architecture {
    /// Every architecture, by its `model_type`.
    pub(crate) const NAMES: &'static [&'static str] =
        &["llama", "mistral", "qwen2", "qwen3", "gpt2", "bert"];

    /// The `model_type` of `config.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gpt2 => "gpt2",
            Self::Bert => "bert",
        }
    }

    /// The architecture called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Llama,
            Self::Mistral,
            Self::Qwen2,
            Self::Qwen3,
            Self::Gpt2,
            Self::Bert,
        ]
        .into_iter()
        .find(|architecture| architecture.name() == name)
    }

    /// Whether it is a causal language model; otherwise it is an encoder.
    #[must_use]
    pub fn is_causal(self) -> bool {
        self != Self::Bert
    }

    /// What the name of a block's tensor starts with, up to the number of the block.
    #[must_use]
    pub fn block_prefix(self) -> &'static str {
        match self {
            Self::Gpt2 => "transformer.h.",
            Self::Bert => "encoder.layer.",
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 => "model.layers.",
        }
    }

    /// The class that `transformers` loads it with.
    pub(crate) fn class_name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Gpt2 => "GPT2LMHeadModel",
            Self::Bert => "BertModel",
        }
    }

    pub(crate) fn is_llama_like(self) -> bool {
        matches!(
            self,
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3
        )
    }
}

/// Everything that determines a model but its weights.
///
/// Start from [`ModelConfig::new`] or [`ModelConfig::from_hf_json`] and set fields; whoever builds
/// a model from it [validates](Self::validate) it first.
///
/// ```
/// use potstill_models::{Architecture, ModelConfig};
///
/// let mut config = ModelConfig::new(Architecture::Llama, 512, 64, 4, 4);
/// config.n_kv_heads = 2;
/// config.tie_word_embeddings = true;
/// assert!(config.validate().is_ok());
/// assert_eq!(ModelConfig::from_hf_json(&config.to_hf_json())?, config);
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head; `n_heads · head_dim` need not be `d_model`.
    pub head_dim: usize,
    /// Width of the MLP.
    pub d_ff: usize,
    /// Longest segment.
    pub max_positions: usize,
    /// Added to the variance in every norm.
    pub norm_epsilon: f64,
    /// Nonlinearity of the MLP.
    pub activation: Activation,
    /// Rotary positions; `None` where positions are learned.
    pub rope: Option<Rope>,
    /// Biases on the query, key and value projections.
    pub qkv_bias: bool,
    /// A bias on the output projection of attention.
    pub output_bias: bool,
    /// Biases in the MLP.
    pub mlp_bias: bool,
    /// Queries and keys are normalized per head.
    pub qk_norm: bool,
    /// The head is the embedding table.
    pub tie_word_embeddings: bool,
    /// The head is a projection to this width and a narrow table (see
    /// [`LowRankHead`](crate::LowRankHead)); `None` for a head as wide as the model. No key of
    /// `config.json`, since what is saved has one matrix.
    pub head_rank: Option<usize>,
    /// How many positions, its own included, a position sees; `None` for all.
    pub sliding_window: Option<usize>,
    /// Token types of an encoder; 0 elsewhere.
    pub n_token_types: usize,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Beginning-of-text token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Keys of `config.json` that nothing here depends on; written back when saving.
    pub extra: Map<String, Value>,
}

impl ModelConfig {
    /// The defaults of an architecture at the given sizes.
    ///
    /// As many key and value heads as query heads, an MLP four times as wide as the model, 2048
    /// positions (1024 and 512 for GPT-2 and BERT).
    #[must_use]
    pub fn new(
        architecture: Architecture,
        vocab_size: usize,
        d_model: usize,
        n_layers: usize,
        n_heads: usize,
    ) -> Self {
        let llama_like = architecture.is_llama_like();
        let bert = architecture == Architecture::Bert;
        Self {
            architecture,
            vocab_size,
            d_model,
            n_layers,
            n_heads,
            n_kv_heads: n_heads,
            head_dim: d_model.checked_div(n_heads).unwrap_or(0),
            d_ff: d_model.saturating_mul(4),
            max_positions: match architecture {
                Architecture::Gpt2 => 1024,
                Architecture::Bert => 512,
                _ => 2048,
            },
            norm_epsilon: match architecture {
                Architecture::Gpt2 => 1e-5,
                Architecture::Bert => 1e-12,
                _ => 1e-6,
            },
            activation: match architecture {
                Architecture::Gpt2 => Activation::GeluTanh,
                Architecture::Bert => Activation::Gelu,
                _ => Activation::Silu,
            },
            rope: llama_like.then_some(Rope {
                theta: 10_000.0,
                scaling: None,
            }),
            qkv_bias: !llama_like || architecture == Architecture::Qwen2,
            output_bias: !llama_like,
            mlp_bias: !llama_like,
            qk_norm: architecture == Architecture::Qwen3,
            tie_word_embeddings: !llama_like,
            head_rank: None,
            sliding_window: None,
            n_token_types: if bert { 2 } else { 0 },
            initializer_range: 0.02,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            pad_token_id: None,
            extra: Map::new(),
        }
    }

    /// Whether a model can be built from this.
    ///
    /// # Errors
    ///
    /// Names the first field that makes no sense, its value and what would be accepted.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key: &str, found: &dyn ToString, expected: &str| {
            Err(Error::ConfigValue {
                key: key.into(),
                found: found.to_string(),
                expected: expected.into(),
            })
        };
        for (key, value, limit) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.d_model, 1 << 20),
            ("num_hidden_layers", self.n_layers, 1 << 12),
            ("num_attention_heads", self.n_heads, 1 << 12),
            ("num_key_value_heads", self.n_kv_heads, 1 << 12),
            ("head_dim", self.head_dim, 1 << 14),
            ("intermediate_size", self.d_ff, 1 << 22),
            ("max_position_embeddings", self.max_positions, 1 << 28),
        ] {
            if value == 0 || value > limit {
                return wrong(key, &value, &format!("a number from 1 to {limit}"));
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let expected = format!("a divisor of num_attention_heads = {}", self.n_heads);
            return wrong("num_key_value_heads", &self.n_kv_heads, &expected);
        }
        if self.rope.is_some() && !self.head_dim.is_multiple_of(2) {
            return wrong(
                "head_dim",
                &self.head_dim,
                "an even number, since positions are rotary",
            );
        }
        if self.rope.is_some() != self.architecture.is_llama_like() {
            let expected = if self.rope.is_some() {
                "no rotary positions"
            } else {
                "rotary positions"
            };
            return wrong("rope_parameters", &format!("{:?}", self.rope), expected);
        }
        if !self.architecture.is_llama_like() {
            if self.n_kv_heads != self.n_heads {
                return wrong(
                    "num_key_value_heads",
                    &self.n_kv_heads,
                    "the number of heads",
                );
            }
            if self.n_heads * self.head_dim != self.d_model {
                let expected = format!("a divisor of the width, {}", self.d_model);
                return wrong("num_attention_heads", &self.n_heads, &expected);
            }
        }
        if self.architecture == Architecture::Bert && !(1..=1 << 10).contains(&self.n_token_types) {
            return wrong(
                "type_vocab_size",
                &self.n_token_types,
                "a number from 1 to 1024",
            );
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return wrong(
                "norm epsilon",
                &self.norm_epsilon,
                "a finite number of at least 0",
            );
        }
        if !(self.initializer_range.is_finite() && self.initializer_range >= 0.0) {
            return wrong(
                "initializer_range",
                &self.initializer_range,
                "a finite number of at least 0",
            );
        }
        if let Some(rank) = self.head_rank {
            if rank == 0 || rank > self.d_model {
                let expected = format!("a number from 1 to hidden_size = {}", self.d_model);
                return wrong("head_rank", &rank, &expected);
            }
            if self.tie_word_embeddings {
                return wrong("head_rank", &rank, "none, since the head is the embeddings");
            }
        }
        if self.sliding_window == Some(0) {
            return wrong("sliding_window", &0, "at least 1, or null");
        }
        self.validate_options()?;
        self.rope.as_ref().map_or(Ok(()), Rope::validate)
    }

    /// An option that the architecture does not have could not be written to `config.json`.
    fn validate_options(&self) -> Result<(), Error> {
        use Architecture::{Llama, Mistral, Qwen2, Qwen3};

        let architecture = self.architecture;
        let usual = Self::new(architecture, 1, 1, 1, 1);
        let attention_biases = [self.qkv_bias, self.output_bias];
        let attention_bias = match architecture {
            Llama | Qwen3 => self.qkv_bias == self.output_bias,
            _ => attention_biases == [usual.qkv_bias, usual.output_bias],
        };
        let window = matches!(architecture, Mistral | Qwen2 | Qwen3);
        for (right, key, found) in [
            (
                attention_bias,
                "attention_bias",
                format!("{attention_biases:?} for inputs and output"),
            ),
            (
                architecture == Llama || self.mlp_bias == usual.mlp_bias,
                "mlp_bias",
                self.mlp_bias.to_string(),
            ),
            (
                self.qk_norm == usual.qk_norm,
                "qk_norm",
                self.qk_norm.to_string(),
            ),
            (
                window || self.sliding_window.is_none(),
                "sliding_window",
                format!("{:?}", self.sliding_window),
            ),
        ] {
            if !right {
                return Err(Error::ConfigValue {
                    key: key.into(),
                    found,
                    expected: format!("what a {} model has", architecture.name()),
                });
            }
        }
        Ok(())
    }

    /// The window, where it hides anything.
    pub(crate) fn effective_window(&self) -> Option<usize> {
        self.sliding_window
            .filter(|&window| window < self.max_positions)
    }
}

#[cfg(test)]
mod tests;
