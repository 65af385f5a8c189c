//! Writing `config.json`.

use serde_json::{Map, Value, json};

use super::{Activation, Architecture, ModelConfig, Rope, RopeScaling};

impl ModelConfig {
    /// A `config.json` that `transformers` loads.
    ///
    /// Rotary settings are written twice, as `rope_parameters` for `transformers` 5 and as
    /// `rope_theta` and `rope_scaling` for 4; both readers ignore the other's keys.
    #[must_use]
    pub fn to_hf_json(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| {
            map.insert(key.into(), value);
        };
        put("architectures", json!([self.architecture.class_name()]));
        put("model_type", json!(self.architecture.name()));
        put("vocab_size", json!(self.vocab_size));
        let sizes = match self.architecture {
            Architecture::Gpt2 => self.gpt2_keys(),
            Architecture::Bert => self.bert_keys(),
            _ => self.llama_keys(),
        };
        for (key, value) in sizes {
            put(&key, value);
        }
        put("initializer_range", json!(self.initializer_range));
        put("tie_word_embeddings", json!(self.tie_word_embeddings));
        put("bos_token_id", json!(self.bos_token_id));
        put(
            "eos_token_id",
            match self.eos_token_ids.as_slice() {
                [] => Value::Null,
                [one] => json!(one),
                several => json!(several),
            },
        );
        put("pad_token_id", json!(self.pad_token_id));
        for (key, value) in &self.extra {
            map.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let mut text = format!("{:#}", Value::Object(map));
        text.push('\n');
        text
    }

    fn llama_keys(&self) -> Map<String, Value> {
        let mut keys = object(json!({
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.d_ff,
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": self.norm_epsilon,
            "hidden_act": activation(self.activation),
        }));
        match self.architecture {
            Architecture::Llama => {
                keys.insert("attention_bias".into(), json!(self.qkv_bias));
                keys.insert("mlp_bias".into(), json!(self.mlp_bias));
            }
            Architecture::Qwen3 => {
                keys.insert("attention_bias".into(), json!(self.qkv_bias));
            }
            _ => {}
        }
        if self.architecture != Architecture::Llama {
            keys.insert("sliding_window".into(), json!(self.sliding_window));
        }
        if matches!(self.architecture, Architecture::Qwen2 | Architecture::Qwen3) {
            let windowed = self.sliding_window.is_some();
            keys.insert("use_sliding_window".into(), json!(windowed));
            let first_windowed = if windowed { 0 } else { self.n_layers };
            keys.insert("max_window_layers".into(), json!(first_windowed));
        }
        if let Some(rope) = &self.rope {
            let scaling = scaling(rope);
            let mut parameters = scaling
                .clone()
                .unwrap_or_else(|| object(json!({ "rope_type": "default" })));
            parameters.insert("rope_theta".into(), json!(rope.theta));
            keys.insert("rope_parameters".into(), Value::Object(parameters));
            keys.insert("rope_theta".into(), json!(rope.theta));
            keys.insert(
                "rope_scaling".into(),
                scaling.map_or(Value::Null, Value::Object),
            );
        }
        keys
    }

    fn gpt2_keys(&self) -> Map<String, Value> {
        object(json!({
            "n_embd": self.d_model,
            "n_layer": self.n_layers,
            "n_head": self.n_heads,
            "n_inner": (self.d_ff != 4 * self.d_model).then_some(self.d_ff),
            "n_positions": self.max_positions,
            "layer_norm_epsilon": self.norm_epsilon,
            "activation_function": activation(self.activation),
        }))
    }

    fn bert_keys(&self) -> Map<String, Value> {
        object(json!({
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "intermediate_size": self.d_ff,
            "max_position_embeddings": self.max_positions,
            "type_vocab_size": self.n_token_types,
            "layer_norm_eps": self.norm_epsilon,
            "hidden_act": activation(self.activation),
        }))
    }
}

/// The old `rope_scaling`; absent for plain rotary positions.
fn scaling(rope: &Rope) -> Option<Map<String, Value>> {
    rope.scaling.as_ref().map(|scaling| {
        object(match scaling {
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_positions,
            }),
        })
    })
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
