//! The configuration of the model in a GGUF file.

use super::{GgufFile, GgufProblem, MetadataValue, rope};
use crate::{Architecture, Error, ModelConfig, Rope};

const SUPPORTED: &[&str] = &["llama", "qwen2", "qwen3"];

impl GgufFile {
    /// The configuration, from the metadata and the shapes of the tensors.
    ///
    /// # Errors
    ///
    /// When the architecture is not one of `llama` (also Mistral and SmolLM2), `qwen2` and `qwen3`,
    /// metadata is missing or makes no sense, or the model uses what this crate lacks, such as
    /// experts.
    pub fn config(&self) -> Result<ModelConfig, Error> {
        let architecture = self.known_architecture()?;
        let n_heads = self.sizes("attention.head_count")?;
        let embedding = self
            .tensors
            .get("model.embed_tokens.weight")
            .ok_or_else(|| {
                self.error(GgufProblem::MissingTensor {
                    name: "token_embd.weight".to_owned(),
                })
            })?;
        let mut config = ModelConfig::new(
            architecture,
            embedding.shape[0],
            self.size("embedding_length")?,
            self.size("block_count")?,
            n_heads,
        );
        if let Some(head_dim) = self.optional_size("attention.key_length")? {
            config.head_dim = head_dim;
        }
        config.n_kv_heads = self.kv_heads()?;
        config.d_ff = self.sizes("feed_forward_length")?;
        config.max_positions = self.size("context_length")?;
        config.norm_epsilon = self.number("attention.layer_norm_rms_epsilon")?;
        config.sliding_window = self
            .optional_size("attention.sliding_window")?
            .filter(|&window| window > 0);
        // Both are called "llama" here, and only one has windows.
        if architecture == Architecture::Llama && config.sliding_window.is_some() {
            config.architecture = Architecture::Mistral;
        }
        self.check_unsupported(config.head_dim)?;
        config.rope = Some(Rope {
            theta: self.rope_base()?,
            scaling: rope::scaling(self, config.head_dim)?,
        });

        let has = |name: &str| self.tensors.contains_key(name);
        config.tie_word_embeddings = !has("lm_head.weight");
        config.qkv_bias = has("model.layers.0.self_attn.q_proj.bias");
        config.output_bias = has("model.layers.0.self_attn.o_proj.bias");
        config.mlp_bias = has("model.layers.0.mlp.gate_proj.bias");
        config.bos_token_id = self.token_id("bos")?;
        config.eos_token_ids = self.token_id("eos")?.into_iter().collect();
        config.pad_token_id = self.token_id("padding")?;
        config.validate().map_err(|source| Error::Config {
            path: self.path.clone(),
            source: Box::new(source),
        })?;
        Ok(config)
    }

    /// The id of the token with a role, such as `"eos"`.
    pub(super) fn token_id(&self, role: &str) -> Result<Option<u32>, Error> {
        let key = format!("tokenizer.ggml.{role}_token_id");
        let Some(value) = self.metadata(&key) else {
            return Ok(None);
        };
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.map(Some)
            .ok_or_else(|| self.wrong_type(&key, value, "a token id"))
    }

    /// How many heads' rows of tensor `name` the file interleaves.
    pub(super) fn interleaved_heads(&self, name: &str) -> Result<Option<usize>, Error> {
        let Some((path, _)) = name.rsplit_once('.') else {
            return Ok(None);
        };
        let query = path.ends_with("self_attn.q_proj");
        if !(query || path.ends_with("self_attn.k_proj")) || self.architecture()? != "llama" {
            return Ok(None);
        }
        let heads = if query {
            self.sizes("attention.head_count")?
        } else {
            self.kv_heads()?
        };
        Ok(Some(heads))
    }

    pub(super) fn architecture(&self) -> Result<&str, Error> {
        self.text("general.architecture")
    }

    pub(super) fn rope_base(&self) -> Result<f64, Error> {
        Ok(self.optional_number("rope.freq_base")?.unwrap_or(10_000.0))
    }

    fn known_architecture(&self) -> Result<Architecture, Error> {
        let found = self.architecture()?;
        let known = Architecture::from_name(found).filter(|_| SUPPORTED.contains(&found));
        known.ok_or_else(|| {
            let found = found.to_owned();
            self.error(GgufProblem::Architecture {
                found,
                supported: SUPPORTED,
            })
        })
    }

    fn kv_heads(&self) -> Result<usize, Error> {
        match self.metadata(&self.model_key("attention.head_count_kv")?) {
            Some(_) => self.sizes("attention.head_count_kv"),
            None => self.sizes("attention.head_count"),
        }
    }

    fn check_unsupported(&self, head_dim: usize) -> Result<(), Error> {
        let wrong = |key: &str, found: usize, expected: String| {
            Err(self.error(GgufProblem::Metadata {
                key: self.model_key(key)?,
                found: found.to_string(),
                expected,
            }))
        };
        if let Some(experts) = self
            .optional_size("expert_count")?
            .filter(|&experts| experts > 0)
        {
            return wrong(
                "expert_count",
                experts,
                "0, experts are not supported".to_owned(),
            );
        }
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(found) = self.optional_size(key)?.filter(|&found| found != head_dim) {
                return wrong(key, found, format!("the size of a head, {head_dim}"));
            }
        }
        Ok(())
    }

    /// `llama.context_length` for `context_length`.
    pub(super) fn model_key(&self, key: &str) -> Result<String, Error> {
        Ok(format!("{}.{key}", self.architecture()?))
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, Error> {
        let value = self.required(key)?;
        value
            .as_str()
            .ok_or_else(|| self.wrong_type(key, value, "text"))
    }

    fn size(&self, key: &str) -> Result<usize, Error> {
        let full_key = self.model_key(key)?;
        self.required(&full_key)?;
        match self.optional_size(key)? {
            Some(size) => Ok(size),
            None => Err(self.error(GgufProblem::MissingMetadata { key: full_key })),
        }
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, Error> {
        let key = self.model_key(key)?;
        let Some(value) = self.metadata(&key) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some)
            .ok_or_else(|| self.wrong_type(&key, value, "an integer that is not negative"))
    }

    /// A size that some files give once for each block.
    fn sizes(&self, key: &str) -> Result<usize, Error> {
        let full_key = self.model_key(key)?;
        let value = self.required(&full_key)?;
        let Some([first, others @ ..]) = value.as_array() else {
            return self.size(key);
        };
        let size = first.as_u64().and_then(|size| usize::try_from(size).ok());
        size.filter(|_| others.iter().all(|other| other == first))
            .ok_or_else(|| {
                self.wrong_type(&full_key, value, "one integer, the same for all blocks")
            })
    }

    fn number(&self, key: &str) -> Result<f64, Error> {
        let full_key = self.model_key(key)?;
        self.required(&full_key)?;
        match self.optional_number(key)? {
            Some(number) => Ok(number),
            None => Err(self.error(GgufProblem::MissingMetadata { key: full_key })),
        }
    }

    pub(super) fn optional_number(&self, key: &str) -> Result<Option<f64>, Error> {
        let key = self.model_key(key)?;
        let Some(value) = self.metadata(&key) else {
            return Ok(None);
        };
        let number = value
            .as_f64()
            .filter(|number| number.is_finite())
            .map(shortest);
        number
            .map(Some)
            .ok_or_else(|| self.wrong_type(&key, value, "a finite number"))
    }

    pub(super) fn required(&self, key: &str) -> Result<&MetadataValue, Error> {
        let missing = || {
            self.error(GgufProblem::MissingMetadata {
                key: key.to_owned(),
            })
        };
        self.metadata(key).ok_or_else(missing)
    }

    pub(super) fn wrong_type(&self, key: &str, value: &MetadataValue, expected: &str) -> Error {
        self.error(GgufProblem::Metadata {
            key: key.to_owned(),
            found: value.to_string(),
            expected: expected.to_owned(),
        })
    }
}

/// What a writer of f32 meant: 1e-5 and not 9.999999747378752e-6.
#[expect(
    clippy::cast_possible_truncation,
    reason = "compared with the original afterwards"
)]
fn shortest(number: f64) -> f64 {
    let single = number as f32;
    if f64::from(single) != number {
        return number;
    }
    single.to_string().parse().unwrap_or(number)
}
