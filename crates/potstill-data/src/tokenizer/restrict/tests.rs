//! Smaller tokenizers say the same with the tokens they keep.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sample_tokenizers::{byte_level, byte_level_with, word_level};

/// The tokenizer for the tokens of `domain`.
fn trimmed(tokenizer: &TextTokenizer, domain: &str) -> (KeptTokens, TextTokenizer) {
    let used = tokenizer.encode(domain, true).unwrap();
    let kept = tokenizer.tokens_to_keep(used).unwrap();
    let small = tokenizer.restricted_to(&kept).unwrap();
    (kept, small)
}

fn tokens(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
    let ids = tokenizer.encode(text, true).unwrap();
    ids.iter()
        .map(|&id| tokenizer.id_to_token(id).unwrap())
        .collect()
}

#[test]
fn the_domain_becomes_the_same_tokens_under_new_ids() {
    let full = byte_level();
    let (kept, small) = trimmed(&full, "a user");
    assert_eq!(tokens(&small, "a user"), tokens(&full, "a user"));
    let ids = full.encode("a user", true).unwrap();
    let renumbered: Vec<u32> = ids.iter().map(|&id| kept.new_id(id).unwrap()).collect();
    assert_eq!(small.encode("a user", true).unwrap(), renumbered);
    assert_eq!(small.vocab_size(), kept.len());
    assert_eq!(
        small.token_id("an"),
        None,
        "the domain does not use it, nor is it on the way"
    );
    for on_the_way in ["us", "use", "user"] {
        assert!(small.token_id(on_the_way).is_some(), "{on_the_way}");
    }
}

#[test]
fn special_tokens_keep_their_roles_and_places() {
    let full = byte_level();
    let (_, small) = trimmed(&full, "x");
    assert_eq!(small.special_tokens(), full.special_tokens());
    assert_eq!(
        tokens(&small, "x<|im_end|>user"),
        ["<s>", "x", "<|im_end|>", "u", "s", "e", "r"]
    );
    assert_eq!(small.encode("", true).unwrap(), [small.bos_id().unwrap()]);
}

#[test]
fn of_two_ways_to_a_token_the_one_that_is_taken_is_kept() {
    // "abc" is ab + c or a + bc; the first merge comes first.
    let base = byte_level_with(&[["a", "b"], ["b", "c"], ["ab", "c"]]);
    let mut definition: Value = serde_json::from_str(&base.to_json().unwrap()).unwrap();
    let merges = definition["model"]["merges"].as_array_mut().unwrap();
    merges.push(json!(["a", "bc"]));
    let full = TextTokenizer::from_json(&definition.to_string()).unwrap();
    let (_, small) = trimmed(&full, "abc");
    assert!(small.token_id("ab").is_some() && small.token_id("bc").is_none());
    assert_eq!(tokens(&small, "abc"), ["<s>", "abc"]);
    assert_eq!(tokens(&small, "bc"), ["<s>", "b", "c"]);
}

#[test]
fn unigram_and_word_vocabularies_are_cut_too() {
    let unigram = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "decoder": null,
        "post_processor": {"type": "RobertaProcessing", "sep": ["z", 5], "cls": ["y", 4],
            "trim_offsets": true, "add_prefix_space": false},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
            "vocab": [["<unk>", 0.0], ["ab", -1.0], ["bc", -1.0], ["a", -3.0], ["y", -3.0], ["z", -3.0],
                ["b", -3.0], ["c", -3.0]]},
    });
    let full = TextTokenizer::from_json(&unigram.to_string()).unwrap();
    let (_, small) = trimmed(&full, "abc");
    assert_eq!(tokens(&small, "abc"), tokens(&full, "abc"));
    assert_eq!(tokens(&full, "abc").len(), 4);
    assert_eq!(small.vocab_size(), 7);

    let words = word_level(&["<unk>", "one", "two", "three"]);
    let (kept, small) = trimmed(&words, "two two");
    assert_eq!(kept.old_ids(), [0, 2]);
    assert_eq!(tokens(&small, "two one"), ["two", "<unk>"]);
}

#[test]
fn bytes_stand_in_for_the_characters_of_a_fallback_vocabulary() {
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let vocab: Map<String, Value> = ["<unk>", "a", "b", "c", "ab"]
        .map(String::from)
        .into_iter()
        .chain(bytes)
        .zip(0..)
        .map(|(token, id)| (token, json!(id)))
        .collect();
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "ByteFallback"},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true,
            "byte_fallback": true, "vocab": vocab, "merges": [["a", "b"]]},
    });
    let full = TextTokenizer::from_json(&definition.to_string()).unwrap();
    let (kept, small) = trimmed(&full, "ab");
    assert_eq!(kept.len(), 1 + 256 + 3);
    assert_eq!(tokens(&small, "abc"), ["ab", "<0x63>"]);
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_id() {
    let words = word_level(&["<unk>", "one"]);
    let error = words.tokens_to_keep([7]).unwrap_err().to_string();
    assert!(
        error.contains("token 7") && error.contains("of 2"),
        "{error}"
    );
    let error = words.restricted_to(&KeptTokens::new([1])).unwrap_err();
    assert!(
        error.to_string().starts_with("token 0 stands for"),
        "{error}"
    );
    let error = words.restricted_to(&KeptTokens::new([0, 2])).unwrap_err();
    assert!(matches!(error, Error::NoSuchToken { id: 2, .. }), "{error}");
}

proptest! {
    #[test]
    fn any_text_survives_a_smaller_tokenizer(domain in "[a-z ]{0,20}", text in any::<String>()) {
        let (_, small) = trimmed(&byte_level(), &domain);
        let ids = small.encode(&text, false).unwrap();
        prop_assert_eq!(small.decode(&ids, false).unwrap(), text);
    }

    #[test]
    fn every_domain_becomes_the_same_tokens(
        merges in proptest::collection::vec(("[ab]{1,3}", "[ab]{1,3}"), 0..12),
        domain in "[ab]{0,24}",
    ) {
        // Merges of parts that exist, as training makes them.
        let mut known = vec!["a".to_owned(), "b".to_owned()];
        let mut usable: Vec<[&str; 2]> = Vec::new();
        for (left, right) in &merges {
            let product = format!("{left}{right}");
            if known.contains(left) && known.contains(right) && !known.contains(&product) {
                known.push(product);
                usable.push([left, right]);
            }
        }
        let full = byte_level_with(&usable);
        let (_, small) = trimmed(&full, &domain);
        prop_assert_eq!(tokens(&small, &domain), tokens(&full, &domain));
    }
}
