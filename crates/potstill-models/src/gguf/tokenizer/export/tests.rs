//! What of a `tokenizer.json` can be written, and what cannot.

use serde_json::json;

use super::*;
use crate::Architecture;

fn config() -> ModelConfig {
    ModelConfig::new(Architecture::Llama, 6, 8, 1, 1)
}

fn tokenizer() -> Value {
    json!({
        "added_tokens": [
            {"id": 0, "content": "<s>", "special": true},
            {"id": 4, "content": "<think>", "special": false},
        ],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null,
        "model": {
            "type": "BPE",
            "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3},
            "merges": [["a", "b"]],
        },
    })
}

fn export(tokenizer: &Value, config: &ModelConfig) -> Result<Metadata, Error> {
    let companions = Companions {
        tokenizer_json: Some(tokenizer.to_string()),
        tokenizer_config: Some(json!({"eos_token": {"content": "ab"}}).to_string()),
        ..Companions::default()
    };
    metadata(&companions, config)
}

#[track_caller]
fn refused(tokenizer: &Value, expected: &str) {
    let error = export(tokenizer, &config()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn every_row_of_the_embeddings_has_a_token() {
    let metadata = export(&tokenizer(), &config()).unwrap();
    let texts: Vec<_> = metadata[TOKENS]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert_eq!(texts, ["<s>", "a", "b", "ab", "<think>", "[PAD5]"]);
    let types: Vec<_> = metadata[TOKEN_TYPES]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_u64().unwrap())
        .collect();
    assert_eq!(types, [3, 1, 1, 1, 4, 5]);
    assert_eq!(
        metadata[MERGES].as_array().unwrap()[0].as_str(),
        Some("a b")
    );
    assert_eq!(metadata["tokenizer.ggml.pre"].as_str(), Some("gpt-2"));
}

#[test]
fn the_end_of_a_turn_is_kept_beside_the_end_of_a_text() {
    let id = |metadata: &Metadata, role: &str| {
        let value = metadata.get(&format!("tokenizer.ggml.{role}_token_id"))?;
        value.as_u64()
    };
    let found = export(&tokenizer(), &config()).unwrap();
    assert_eq!((id(&found, "bos"), id(&found, "eos")), (None, Some(3)));
    let two_ends = ModelConfig {
        eos_token_ids: vec![1, 3],
        ..config()
    };
    let found = export(&tokenizer(), &two_ends).unwrap();
    assert_eq!((id(&found, "eos"), id(&found, "eot")), (Some(3), Some(1)));
    let another = ModelConfig {
        eos_token_ids: vec![2],
        ..config()
    };
    let found = export(&tokenizer(), &another).unwrap();
    assert_eq!((id(&found, "eos"), id(&found, "eot")), (Some(2), None));
}

#[test]
fn a_token_before_the_text_is_asked_for() {
    let special = |text: &str| json!({"SpecialToken": {"id": text, "type_id": 0}});
    let with = |single: Value| {
        let mut tokenizer = tokenizer();
        let template = json!({"type": "TemplateProcessing", "single": single});
        tokenizer["post_processor"] =
            json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]});
        tokenizer
    };
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let found = export(&with(json!([special("<s>"), text])), &config()).unwrap();
    assert_eq!(found["tokenizer.ggml.add_bos_token"].as_bool(), Some(true));
    assert_eq!(found["tokenizer.ggml.add_eos_token"].as_bool(), Some(false));
    assert_eq!(found["tokenizer.ggml.bos_token_id"].as_u64(), Some(0));
    refused(
        &with(json!([special("<s>"), special("a"), text])),
        "post-processor",
    );
}

#[test]
fn other_tokenizers_are_refused() {
    let with = |pointer: &str, value: Value| {
        let mut tokenizer = tokenizer();
        *tokenizer.pointer_mut(pointer).unwrap() = value;
        tokenizer
    };
    refused(&with("/model/type", json!("WordLevel")), "WordLevel");
    refused(
        &with("/pre_tokenizer/add_prefix_space", json!(true)),
        "cut by",
    );
    refused(&with("/normalizer", json!({"type": "NFKC"})), "NFKC");
    refused(&with("/model/vocab/ab", json!(6)), "id 6");
    refused(&with("/model/merges", json!(7)), "tokenizer.json");
    refused(&json!([]), "cut by");
}
