//! A teacher made on the spot, so that the example can be tried without a checkpoint.

use std::path::Path;

use anyhow::Result;
use potstill::burn::tensor::Device;
use potstill::models::{Architecture, Companions, LanguageModel, ModelConfig, save_pretrained};
use serde_json::{Map, Value, json};

/// Saves a tiny random model with a tokenizer of single bytes to `folder`.
pub(crate) fn save_teacher(folder: &Path) -> Result<()> {
    let mut vocabulary: Map<String, Value> = byte_characters()
        .enumerate()
        .map(|(id, byte)| (byte.to_string(), json!(id)))
        .collect();
    let end = vocabulary.len();
    vocabulary.insert("<end>".to_owned(), json!(end));
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true
    });
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [{
            "id": end, "content": "<end>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] }
    });
    let config = ModelConfig {
        eos_token_ids: vec![u32::try_from(end)?],
        ..ModelConfig::new(Architecture::Llama, end + 1, 32, 4, 2)
    };
    let teacher = LanguageModel::init(&config, 0, &Device::default());
    let companions = Companions {
        tokenizer_json: Some(tokenizer.to_string()),
        tokenizer_config: Some(r#"{"eos_token": "<end>"}"#.to_owned()),
        ..Companions::default()
    };
    Ok(save_pretrained(&teacher, folder, &companions)?)
}

/// The character that byte-level tokenizers write for each byte: printable ones stand for
/// themselves, the others for the characters from U+0100 on.
fn byte_characters() -> impl Iterator<Item = char> {
    let mut others = (0x100..).filter_map(char::from_u32);
    (0u8..=255).filter_map(move |byte| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => Some(char::from(byte)),
        _ => others.next(),
    })
}
