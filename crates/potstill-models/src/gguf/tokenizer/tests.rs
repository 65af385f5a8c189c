//! The files that are rebuilt, and tokenizers that cannot be.

use super::*;
use crate::gguf::tests::{small, writer::Writer};

fn tokenizer(writer: &Writer) -> Value {
    serde_json::from_str(&writer.open().unwrap().tokenizer_json().unwrap().unwrap()).unwrap()
}

#[track_caller]
fn fails(writer: &Writer, expected: &[&str]) {
    let error = writer
        .open()
        .unwrap()
        .tokenizer_json()
        .unwrap_err()
        .to_string();
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn vocabulary_merges_and_added_tokens_are_those_of_the_file() {
    let json = tokenizer(&small("llama"));
    assert_eq!(json["model"]["vocab"]["ab"], 4);
    assert_eq!(json["model"]["merges"], json!(["a b"]));
    let added = |index: usize| &json["added_tokens"][index];
    assert_eq!(
        (&added(0)["content"], &added(0)["special"]),
        (&json!("<s>"), &json!(true))
    );
    assert_eq!(
        (&added(2)["id"], &added(2)["content"]),
        (&json!(5), &json!("<think>"))
    );
    assert_eq!(added(2)["special"], false, "a user-defined token is shown");
}

#[test]
fn every_digit_of_smollm_is_a_word() {
    let rules = &tokenizer(&small("llama"))["pre_tokenizer"]["pretokenizers"];
    assert_eq!(
        rules[0],
        json!({"type": "Digits", "individual_digits": true})
    );
    assert_eq!(
        (&rules[1]["type"], &rules[1]["use_regex"]),
        (&json!("ByteLevel"), &json!(true))
    );
}

#[test]
fn the_rule_follows_the_name() {
    let with = |pre: &str| tokenizer(&small("llama").text("tokenizer.ggml.pre", pre));
    assert_eq!(with("gpt-2")["pre_tokenizer"]["type"], "ByteLevel");
    let llama = with("llama-bpe");
    assert_eq!(llama["model"]["ignore_merges"], true);
    assert!(llama["pre_tokenizer"].to_string().contains("{1,3}"));
    let qwen = with("qwen2");
    assert_eq!(qwen["normalizer"]["type"], "NFC");
    assert!(!qwen["pre_tokenizer"].to_string().contains("{1,3}"));
    let unnamed = small("qwen3").without("tokenizer.ggml.pre");
    assert_eq!(tokenizer(&unnamed)["normalizer"]["type"], "NFC");
}

#[test]
fn text_begins_with_a_token_only_where_the_file_asks_for_it() {
    let plain = tokenizer(&small("llama"));
    assert_eq!(plain["post_processor"]["type"], "ByteLevel");
    let asked = small("llama").set(
        "tokenizer.ggml.add_bos_token",
        crate::MetadataValue::Bool(true),
    );
    let template = tokenizer(&asked)["post_processor"]["processors"][1].clone();
    assert_eq!(template["single"][0]["SpecialToken"]["id"], "<s>");
    assert_eq!(template["single"].as_array().unwrap().len(), 2);
    assert_eq!(template["special_tokens"]["<s>"]["ids"], json!([0]));
    let llama = tokenizer(&small("llama").text("tokenizer.ggml.pre", "llama-bpe"));
    assert_eq!(llama["post_processor"]["type"], "Sequence");
}

#[test]
fn unused_tokens_are_left_out() {
    let padded = small("llama")
        .texts(
            "tokenizer.ggml.tokens",
            ["<s>", "</s>", "a", "b", "ab", "[PAD5]"],
        )
        .sizes("tokenizer.ggml.token_type", [3, 3, 1, 1, 1, 5]);
    let vocab = &tokenizer(&padded)["model"]["vocab"];
    assert_eq!(vocab.as_object().unwrap().len(), 5);
}

#[test]
fn a_token_listed_twice_keeps_its_first_id() {
    let twice = small("llama").texts(
        "tokenizer.ggml.tokens",
        ["<s>", "</s>", "a", "b", "ab", "a"],
    );
    assert_eq!(tokenizer(&twice)["model"]["vocab"]["a"], json!(2));
}

#[test]
fn a_tokenizer_that_cannot_be_rebuilt_is_named() {
    fails(
        &small("llama").text("tokenizer.ggml.model", "llama"),
        &["\"llama\"", "gpt2", "tokenizer.json"],
    );
    fails(
        &small("llama").text("tokenizer.ggml.pre", "unheard-of"),
        &["unheard-of", "smollm"],
    );
    fails(
        &small("llama").without("tokenizer.ggml.pre"),
        &["not named"],
    );
    fails(
        &small("llama").texts("tokenizer.ggml.merges", ["ab"]),
        &["merge 0", "\"ab\""],
    );
    fails(
        &small("llama").texts("tokenizer.ggml.merges", ["a b", "b b"]),
        &["merge 1", "\"b b\""],
    );
    fails(
        &small("llama").without("tokenizer.ggml.tokens"),
        &["tokenizer.ggml.tokens"],
    );
    fails(
        &small("llama").sizes("tokenizer.ggml.token_type", [1]),
        &["token_type", "6"],
    );
    fails(
        &small("llama").size("tokenizer.ggml.bos_token_id", 6),
        &["bos_token_id", "6"],
    );
}

#[test]
fn a_file_without_a_tokenizer_has_none() {
    let file = small("llama")
        .without("tokenizer.ggml.model")
        .open()
        .unwrap();
    assert_eq!(file.tokenizer_json().unwrap(), None);
    assert_eq!(file.tokenizer_config_json().unwrap(), None);
    assert_eq!(file.chat_template().unwrap(), None);
}

#[test]
fn special_tokens_are_named_by_their_text() {
    let file = small("llama").open().unwrap();
    let special = file.special_tokens().unwrap();
    assert_eq!(special.eos.as_deref(), Some("</s>"));
    assert_eq!((special.pad, special.unk), (None, None));
    let config = file.tokenizer_config_json().unwrap().unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        (&config["eos_token"], &config["model_max_length"]),
        (&json!("</s>"), &json!(64))
    );
    assert_eq!(config["added_tokens_decoder"]["5"]["content"], "<think>");
}
