//! Reading `config.json`.

use serde_json::{Map, Value};

use super::{Activation, Architecture, ModelConfig, Rope, RopeScaling};
use crate::Error;

impl ModelConfig {
    /// Reads a Hugging Face `config.json`, in the style of `transformers` 4 (`rope_theta`,
    /// `rope_scaling`) or 5 (`rope_parameters`).
    ///
    /// # Errors
    ///
    /// When it is not a JSON object, names an architecture or option that is not supported, lacks a
    /// size, or [makes no sense](Self::validate).
    pub fn from_hf_json(json: &str) -> Result<Self, Error> {
        let map: Map<String, Value> = serde_json::from_str(json).map_err(Error::ConfigSyntax)?;
        let mut keys = Keys(map);
        let name = keys
            .text("model_type")?
            .ok_or(Error::ConfigMissing { key: "model_type" })?;
        let architecture =
            Architecture::from_name(&name).ok_or_else(|| Error::UnknownArchitecture {
                found: name.clone(),
                supported: Architecture::NAMES,
            })?;
        let mut config = match architecture {
            Architecture::Gpt2 => gpt2(&mut keys)?,
            Architecture::Bert => bert(&mut keys)?,
            _ => llama_like(architecture, &mut keys)?,
        };
        config.vocab_size = keys.required("vocab_size")?;
        if let Some(range) = keys.number("initializer_range")? {
            config.initializer_range = range;
        }
        if let Some(tied) = keys.flag("tie_word_embeddings")? {
            config.tie_word_embeddings = tied;
        }
        config.bos_token_id = keys.token("bos_token_id")?.first().copied();
        config.eos_token_ids = keys.token("eos_token_id")?;
        config.pad_token_id = keys.token("pad_token_id")?.first().copied();
        for recomputed in [
            "architectures",
            "dtype",
            "torch_dtype",
            "transformers_version",
        ] {
            keys.0.remove(recomputed);
        }
        config.extra = keys.0;
        config.validate()?;
        Ok(config)
    }
}

fn llama_like(architecture: Architecture, keys: &mut Keys) -> Result<ModelConfig, Error> {
    let d_model = keys.required("hidden_size")?;
    let n_layers = keys.required("num_hidden_layers")?;
    let n_heads = keys.required("num_attention_heads")?;
    let mut config = ModelConfig::new(architecture, 0, d_model, n_layers, n_heads);
    config.d_ff = keys.required("intermediate_size")?;
    config.n_kv_heads = keys.size("num_key_value_heads")?.unwrap_or(n_heads);
    match keys.size("head_dim")? {
        Some(head_dim) => config.head_dim = head_dim,
        None if architecture == Architecture::Qwen3 => config.head_dim = 128,
        None if n_heads != 0 && !d_model.is_multiple_of(n_heads) => {
            return Err(Error::ConfigValue {
                key: "num_attention_heads".into(),
                found: n_heads.to_string(),
                expected: format!("a divisor of hidden_size = {d_model}, or head_dim beside it"),
            });
        }
        None => {}
    }
    if let Some(positions) = keys.size("max_position_embeddings")? {
        config.max_positions = positions;
    }
    if let Some(epsilon) = keys.number("rms_norm_eps")? {
        config.norm_epsilon = epsilon;
    }
    config.activation = keys.activation("hidden_act")?.unwrap_or(Activation::Silu);
    if config.activation != Activation::Silu {
        return Err(keys.unsupported("hidden_act", &format!("{:?}", config.activation), "silu"));
    }
    config.rope = Some(rope(keys)?);
    // `transformers` passes over what an architecture does not have, so it stays among the extras.
    if matches!(architecture, Architecture::Llama | Architecture::Qwen3) {
        let attention_bias = keys.flag("attention_bias")?.unwrap_or(false);
        config.qkv_bias = attention_bias;
        config.output_bias = attention_bias;
    }
    if architecture == Architecture::Llama {
        config.mlp_bias = keys.flag("mlp_bias")?.unwrap_or(false);
    } else {
        config.sliding_window = sliding_window(&config, keys)?;
    }
    Ok(config)
}

fn gpt2(keys: &mut Keys) -> Result<ModelConfig, Error> {
    let d_model = keys.required("n_embd")?;
    let n_layers = keys.required("n_layer")?;
    let n_heads = keys.required("n_head")?;
    let mut config = ModelConfig::new(Architecture::Gpt2, 0, d_model, n_layers, n_heads);
    config.d_ff = keys
        .size("n_inner")?
        .unwrap_or_else(|| d_model.saturating_mul(4));
    config.max_positions = keys.required("n_positions")?;
    if let Some(epsilon) = keys.number("layer_norm_epsilon")? {
        config.norm_epsilon = epsilon;
    }
    config.activation = keys
        .activation("activation_function")?
        .unwrap_or(Activation::GeluTanh);
    for (key, expected) in [
        ("add_cross_attention", false),
        ("scale_attn_by_inverse_layer_idx", false),
        ("scale_attn_weights", true),
    ] {
        keys.expect(key, &Value::Bool(expected))?;
    }
    Ok(config)
}

fn bert(keys: &mut Keys) -> Result<ModelConfig, Error> {
    let d_model = keys.required("hidden_size")?;
    let n_layers = keys.required("num_hidden_layers")?;
    let n_heads = keys.required("num_attention_heads")?;
    let mut config = ModelConfig::new(Architecture::Bert, 0, d_model, n_layers, n_heads);
    config.d_ff = keys.required("intermediate_size")?;
    config.max_positions = keys.required("max_position_embeddings")?;
    config.n_token_types = keys.size("type_vocab_size")?.unwrap_or(2);
    if let Some(epsilon) = keys.number("layer_norm_eps")? {
        config.norm_epsilon = epsilon;
    }
    config.activation = keys.activation("hidden_act")?.unwrap_or(Activation::Gelu);
    keys.expect("position_embedding_type", &Value::from("absolute"))?;
    keys.expect("is_decoder", &Value::Bool(false))?;
    keys.expect("add_cross_attention", &Value::Bool(false))?;
    Ok(config)
}

/// `rope_parameters` of `transformers` 5, else `rope_theta` and `rope_scaling`.
fn rope(keys: &mut Keys) -> Result<Rope, Error> {
    let top_theta = keys.number("rope_theta")?;
    let old = keys.object("rope_scaling")?;
    let new = keys.object("rope_parameters")?;
    keys.expect("partial_rotary_factor", &Value::from(1.0))?;
    let mut settings = Keys(new.or(old).unwrap_or_default());
    let theta = settings
        .number("rope_theta")?
        .or(top_theta)
        .unwrap_or(10_000.0);
    let kind = settings.text("rope_type")?;
    let kind = settings
        .text("type")?
        .or(kind)
        .unwrap_or_else(|| "default".into());
    let scaling = match kind.as_str() {
        "default" => None,
        "linear" => Some(RopeScaling::Linear {
            factor: settings.required_number("factor")?,
        }),
        "llama3" => Some(RopeScaling::Llama3 {
            factor: settings.required_number("factor")?,
            low_freq_factor: settings.required_number("low_freq_factor")?,
            high_freq_factor: settings.required_number("high_freq_factor")?,
            original_max_positions: settings.required("original_max_position_embeddings")?,
        }),
        other => {
            return Err(keys.unsupported("rope_type", other, "default, linear or llama3"));
        }
    };
    Ok(Rope { theta, scaling })
}

/// The window, where every layer has it.
fn sliding_window(config: &ModelConfig, keys: &mut Keys) -> Result<Option<usize>, Error> {
    // What `transformers` assumes of a Mistral that does not say.
    let unsaid =
        config.architecture == Architecture::Mistral && !keys.0.contains_key("sliding_window");
    let window = if unsaid {
        Some(4096)
    } else {
        keys.size("sliding_window")?
    };
    let used = keys.flag("use_sliding_window")?;
    let first_windowed = keys.size("max_window_layers")?;
    let layer_types = keys.0.remove("layer_types");
    let qwen = matches!(
        config.architecture,
        Architecture::Qwen2 | Architecture::Qwen3
    );
    let windowed_layers = match layer_types {
        Some(Value::Array(types)) => types
            .iter()
            .filter(|kind| *kind == "sliding_attention")
            .count(),
        _ if qwen && used == Some(true) => {
            config.n_layers.saturating_sub(first_windowed.unwrap_or(0))
        }
        _ if qwen => 0,
        _ => config.n_layers,
    };
    let Some(window) = window.filter(|_| windowed_layers > 0 && used != Some(false)) else {
        return Ok(None);
    };
    if windowed_layers == config.n_layers || window >= config.max_positions {
        return Ok(Some(window));
    }
    Err(Error::ConfigValue {
        key: "layer_types".into(),
        found: format!(
            "{windowed_layers} of {} layers with a sliding window",
            config.n_layers
        ),
        expected: "the same kind of attention in all layers".into(),
    })
}

/// The keys that have not been read yet.
struct Keys(Map<String, Value>);

impl Keys {
    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    fn unsupported(&self, key: &str, found: &str, expected: &str) -> Error {
        Error::ConfigValue {
            key: key.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// Refuses a key that has another value than the one that is supported; absent and null pass.
    fn expect(&self, key: &str, supported: &Value) -> Result<(), Error> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value == supported => Ok(()),
            Some(value) => Err(self.unsupported(key, &value.to_string(), &supported.to_string())),
        }
    }

    fn typed<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.unsupported(key, &value.to_string(), expected)),
        }
    }

    fn size(&mut self, key: &str) -> Result<Option<usize>, Error> {
        self.typed(key, "a whole number", |value| {
            usize::try_from(value.as_u64()?).ok()
        })
    }

    fn required(&mut self, key: &'static str) -> Result<usize, Error> {
        self.size(key)?.ok_or(Error::ConfigMissing { key })
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>, Error> {
        self.typed(key, "a number", Value::as_f64)
    }

    fn required_number(&mut self, key: &'static str) -> Result<f64, Error> {
        self.number(key)?.ok_or(Error::ConfigMissing { key })
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        self.typed(key, "true or false", Value::as_bool)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn object(&mut self, key: &str) -> Result<Option<Map<String, Value>>, Error> {
        self.typed(key, "an object", |value| value.as_object().cloned())
    }

    fn activation(&mut self, key: &str) -> Result<Option<Activation>, Error> {
        self.typed(
            key,
            "silu, gelu, gelu_new or gelu_pytorch_tanh",
            |value| match value.as_str()? {
                "silu" | "swish" => Some(Activation::Silu),
                "gelu" => Some(Activation::Gelu),
                "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
                _ => None,
            },
        )
    }

    /// One token id or a list of them; `-1` means none.
    fn token(&mut self, key: &str) -> Result<Vec<u32>, Error> {
        let id = |value: &Value| match value.as_i64()? {
            -1 => Some(None),
            id => u32::try_from(id).ok().map(Some),
        };
        let ids = self.typed(key, "a token id or a list of them", |value| match value {
            Value::Array(values) => values.iter().map(id).collect::<Option<Vec<_>>>(),
            value => id(value).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default().into_iter().flatten().collect())
    }
}
