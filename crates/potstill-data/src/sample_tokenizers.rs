//! Small tokenizers for tests.

use potstill_core::SpecialTokens;
use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::TextTokenizer;

const SPECIALS: [&str; 8] = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<pad>",
];

/// Byte-level BPE with a few merges: reads any text. The definition puts `<s>` before a text and,
/// to be switched off, cuts it to 4 tokens.
pub(crate) fn byte_level() -> TextTokenizer {
    byte_level_with(&[
        ["u", "s"],
        ["us", "e"],
        ["use", "r"],
        ["a", "n"],
        ["Ċ", "Ċ"],
        ["Ġ", "a"],
    ])
}

/// [`byte_level`] with other merges.
pub(crate) fn byte_level_with(merges: &[[&str; 2]]) -> TextTokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut tokens: Vec<String> = alphabet.into_iter().map(String::from).collect();
    tokens.extend(merges.iter().map(|merge| merge.concat()));
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), json!(id)))
        .collect();
    let added: Vec<Value> = SPECIALS
        .iter()
        .enumerate()
        .map(|(index, token)| {
            json!({"id": tokens.len() + index, "content": token, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let definition = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true},
        "post_processor": {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [tokens.len()], "tokens": ["<s>"]}},
            },
        ]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
            "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges},
    });
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        pad: Some("<pad>".into()),
        unk: None,
    };
    TextTokenizer::from_json(&definition.to_string())
        .and_then(|tokenizer| tokenizer.with_special_tokens(specials))
        .expect("the definition is valid")
}

/// Whole words only, and none for the unknown.
pub(crate) fn word_level(words: &[&str]) -> TextTokenizer {
    let vocab: serde_json::Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(id, word)| (String::from(*word), json!(id)))
        .collect();
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
    });
    TextTokenizer::from_json(&definition.to_string()).expect("the definition is valid")
}
