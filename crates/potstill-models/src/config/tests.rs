//! Configurations of every architecture, in both styles, and hostile numbers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn llama() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    })
}

fn with(changes: Value) -> Value {
    let mut config = llama();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn parse(config: &Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_hf_json(&config.to_string())
}

#[track_caller]
fn check_refused(changes: Value, message: &str) {
    let error = parse(&with(changes)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn absent_keys_take_the_defaults_of_the_architecture() {
    let config = parse(&llama()).unwrap();
    assert_eq!(config.head_dim, 8);
    assert_eq!(
        config.rope,
        Some(Rope {
            theta: 10_000.0,
            scaling: None
        })
    );
    assert!(!config.tie_word_embeddings && !config.qkv_bias && !config.qk_norm);
    let qwen2 = parse(&with(json!({ "model_type": "qwen2" }))).unwrap();
    assert!(qwen2.qkv_bias && !qwen2.output_bias);
    let qwen3 = parse(&with(json!({ "model_type": "qwen3" }))).unwrap();
    assert!(qwen3.qk_norm && qwen3.head_dim == 128);
}

#[test]
fn both_styles_of_rotary_settings_mean_the_same() {
    let scaling = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    });
    let mut old = scaling.clone();
    old["rope_type"] = json!("llama3");
    let mut new = old.clone();
    new["rope_theta"] = json!(500_000.0);
    let old = parse(&with(
        json!({ "rope_theta": 500_000.0, "rope_scaling": old }),
    ))
    .unwrap();
    let new = parse(&with(json!({ "rope_parameters": new }))).unwrap();
    assert_eq!(old, new);
    let rope = old.rope.unwrap();
    assert_eq!(rope.theta, 500_000.0);
    assert!(matches!(
        rope.scaling,
        Some(RopeScaling::Llama3 {
            original_max_positions: 32,
            ..
        })
    ));

    let linear = json!({ "rope_scaling": { "type": "linear", "factor": 2.0 } });
    let linear = parse(&with(linear)).unwrap().rope.unwrap();
    assert_eq!(linear.scaling, Some(RopeScaling::Linear { factor: 2.0 }));
    assert_eq!(linear.frequencies(4), [0.5, 0.005]);
}

#[test]
fn rotary_settings_are_written_in_both_styles() {
    let mut config = ModelConfig::new(Architecture::Llama, 10, 8, 1, 2);
    let scaling = RopeScaling::Linear { factor: 4.0 };
    config.rope = Some(Rope {
        theta: 5000.0,
        scaling: Some(scaling),
    });
    let json: Value = serde_json::from_str(&config.to_hf_json()).unwrap();
    assert_eq!(json["rope_theta"], 5000.0);
    assert_eq!(
        json["rope_scaling"],
        json!({ "rope_type": "linear", "factor": 4.0 })
    );
    let parameters = json!({ "rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0 });
    assert_eq!(json["rope_parameters"], parameters);
    assert_eq!(json["architectures"], json!(["LlamaForCausalLM"]));
}

#[test]
fn llama3_keeps_high_frequencies_and_divides_low_ones() {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 8192,
    };
    let plain = Rope {
        theta: 500_000.0,
        scaling: None,
    }
    .frequencies(128);
    let scaled = Rope {
        theta: 500_000.0,
        scaling: Some(scaling),
    }
    .frequencies(128);
    assert_eq!(scaled[0], plain[0]);
    assert_eq!(scaled[63], plain[63] / 8.0);
    assert!(
        scaled
            .iter()
            .zip(&plain)
            .all(|(s, p)| (p / 8.0..=*p).contains(s))
    );
}

#[test]
fn unknown_keys_are_kept() {
    let config = parse(&with(json!({ "pretraining_tp": 1, "custom": ["a"] }))).unwrap();
    let written: Value = serde_json::from_str(&config.to_hf_json()).unwrap();
    assert_eq!(written["pretraining_tp"], 1);
    assert_eq!(written["custom"], json!(["a"]));
}

#[test]
fn several_end_tokens_are_kept() {
    let config = parse(&with(json!({ "eos_token_id": [3, 4], "pad_token_id": -1 }))).unwrap();
    assert_eq!(config.eos_token_ids, [3, 4]);
    assert_eq!(config.pad_token_id, None);
    assert_eq!(
        ModelConfig::from_hf_json(&config.to_hf_json()).unwrap(),
        config
    );
}

#[test]
fn windows_are_read_as_transformers_reads_them() {
    let window = |changes| parse(&with(changes)).unwrap().effective_window();
    let mistral = json!({ "model_type": "mistral", "sliding_window": 64 });
    assert_eq!(window(mistral), Some(64));
    let wide = json!({ "model_type": "mistral", "sliding_window": 4096 });
    assert_eq!(window(wide), None);
    let unsaid = json!({ "model_type": "mistral", "max_position_embeddings": 8192 });
    assert_eq!(window(unsaid), Some(4096));
    let llama = json!({ "sliding_window": 64 });
    assert_eq!(window(llama), None);
    let off = json!({ "model_type": "qwen2", "sliding_window": 64, "use_sliding_window": false });
    assert_eq!(window(off), None);
    check_refused(
        json!({
            "model_type": "qwen2", "sliding_window": 64, "use_sliding_window": true,
            "max_window_layers": 1,
        }),
        "configuration key layer_types is 2 of 3 layers with a sliding window; expected the same \
         kind of attention in all layers",
    );
}

#[test]
fn what_is_not_supported_is_named() {
    check_refused(
        json!({ "model_type": "mamba" }),
        "unknown model_type \"mamba\"; supported are llama, mistral, qwen2, qwen3, gpt2, bert",
    );
    check_refused(
        json!({ "rope_parameters": { "rope_type": "yarn", "rope_theta": 1e4 } }),
        "configuration key rope_type is yarn; expected default, linear or llama3",
    );
    check_refused(
        json!({ "hidden_act": "relu" }),
        "configuration key hidden_act is \"relu\"; expected silu, gelu, gelu_new or \
         gelu_pytorch_tanh",
    );
    check_refused(
        json!({ "num_key_value_heads": 3 }),
        "configuration key num_key_value_heads is 3; expected a divisor of num_attention_heads = 4",
    );
    check_refused(
        json!({ "num_attention_heads": 5 }),
        "configuration key num_attention_heads is 5; expected a divisor of hidden_size = 32, or \
         head_dim beside it",
    );
    check_refused(
        json!({ "vocab_size": 0 }),
        "configuration key vocab_size is 0; expected a number from 1 to 16777216",
    );
    check_refused(
        json!({ "num_hidden_layers": "three" }),
        "configuration key num_hidden_layers is \"three\"; expected a whole number",
    );
    check_refused(
        json!({ "intermediate_size": null }),
        "the model configuration lacks intermediate_size",
    );
}

#[test]
fn options_that_an_architecture_does_not_have_are_refused() {
    let refused = |architecture, change: fn(&mut ModelConfig), key: &str| {
        let mut config = ModelConfig::new(architecture, 8, 8, 1, 1);
        assert!(config.validate().is_ok());
        change(&mut config);
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    };
    refused(Architecture::Llama, |c| c.qkv_bias = true, "attention_bias");
    refused(
        Architecture::Qwen2,
        |c| c.qkv_bias = false,
        "attention_bias",
    );
    refused(Architecture::Mistral, |c| c.mlp_bias = true, "mlp_bias");
    refused(Architecture::Llama, |c| c.qk_norm = true, "qk_norm");
    refused(
        Architecture::Gpt2,
        |c| c.sliding_window = Some(4),
        "sliding_window",
    );
}

#[test]
fn text_that_is_no_object_is_refused() {
    for text in ["", "[]", "{", "3"] {
        assert!(
            matches!(ModelConfig::from_hf_json(text), Err(Error::ConfigSyntax(_))),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn no_number_makes_parsing_panic(
        key in prop::sample::select(vec![
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings",
            "rms_norm_eps", "rope_theta", "eos_token_id", "sliding_window",
        ]),
        value in prop_oneof![
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            Just(Value::Null),
            Just(json!("text")),
            Just(json!([1])),
        ],
    ) {
        let mut changes = serde_json::Map::new();
        changes.insert(key.into(), value);
        if let Ok(config) = parse(&with(Value::Object(changes))) {
            prop_assert!(config.validate().is_ok());
        }
    }
}
