//! Tokenizing with small tokenizers.

use proptest::prelude::*;

use super::*;
use crate::sample_tokenizers::{byte_level, word_level};

#[test]
fn a_truncation_in_the_definition_is_ignored() {
    assert_eq!(byte_level().encode("a long text", false).unwrap().len(), 11);
}

#[test]
fn special_tokens_are_added_on_request_and_skipped_on_request() {
    let tokenizer = byte_level();
    let plain = tokenizer.encode("user", false).unwrap();
    let framed = tokenizer.encode("user", true).unwrap();
    assert_eq!(plain.len(), 1, "the merges build one token");
    assert_eq!(framed, [tokenizer.bos_id().unwrap(), plain[0]]);
    assert_eq!(tokenizer.decode(&framed, true).unwrap(), "user");
    assert_eq!(tokenizer.decode(&framed, false).unwrap(), "<s>user");
}

#[test]
fn a_batch_is_the_single_texts() {
    let tokenizer = byte_level();
    let texts = ["one", "", "drei"];
    let batch = tokenizer.encode_batch(&texts, true).unwrap();
    for (text, ids) in texts.iter().zip(batch) {
        assert_eq!(ids, tokenizer.encode(text, true).unwrap());
    }
}

#[test]
fn ids_and_tokens_are_each_others_inverse() {
    let tokenizer = word_level(&["<unk>", "two"]);
    assert_eq!(tokenizer.token_id("two"), Some(1));
    assert_eq!(tokenizer.id_to_token(1).as_deref(), Some("two"));
    assert_eq!(
        (tokenizer.token_id("ten"), tokenizer.id_to_token(9)),
        (None, None)
    );
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model_is_named_with_both_sizes() {
    let tokenizer = word_level(&["<unk>", "one", "two"]);
    assert!(tokenizer.check_fits(3).is_ok() && tokenizer.check_fits(64).is_ok());
    let message = tokenizer.check_fits(2).unwrap_err().to_string();
    assert!(
        message.starts_with("the tokenizer has 3 tokens, but the model only 2"),
        "{message}"
    );
}

#[test]
fn the_identity_depends_on_tokens_and_their_ids() {
    let tokenizer = word_level(&["<unk>", "one", "two"]);
    assert_eq!(
        tokenizer.identity(),
        word_level(&["<unk>", "one", "two"]).identity()
    );
    assert_eq!(tokenizer.identity().size, 3);
    let swapped = word_level(&["<unk>", "two", "one"]).identity();
    assert_ne!(tokenizer.identity().fingerprint, swapped.fingerprint);
}

#[test]
fn a_special_token_outside_the_vocabulary_is_refused() {
    let specials = SpecialTokens {
        eos: Some("</s>".into()),
        ..SpecialTokens::default()
    };
    let error = word_level(&["<unk>"])
        .with_special_tokens(specials)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the eos token "</s>" is not in the tokenizer's vocabulary"#
    );
}

#[test]
fn a_bad_definition_is_an_error() {
    let error = TextTokenizer::from_json("{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the given text is not a usable tokenizer definition"
    );
    let error = TextTokenizer::from_file("no/tokenizer.json").unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/tokenizer.json");
}

#[test]
fn a_definition_survives_a_round_trip() {
    let tokenizer = byte_level();
    let again = TextTokenizer::from_json(&tokenizer.to_json().unwrap()).unwrap();
    assert_eq!(again.identity(), tokenizer.identity());
    assert_eq!(
        again.encode("an user", true).unwrap(),
        tokenizer.encode("an user", true).unwrap()
    );
}

#[test]
fn a_folder_brings_its_special_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tokenizer.json", &byte_level().to_json().unwrap());
    write(
        "tokenizer_config.json",
        r#"{"eos_token": "<|im_end|>", "unk_token": "<none>"}"#,
    );
    let tokenizer = TextTokenizer::from_folder(&folder).unwrap();
    assert_eq!(tokenizer.eos_id(), tokenizer.token_id("<|im_end|>"));
    assert_eq!(
        (tokenizer.bos_id(), &tokenizer.special_tokens().unk),
        (None, &None)
    );
    assert_eq!(Some(tokenizer.pad_id()), tokenizer.eos_id());
}

proptest! {
    #[test]
    fn byte_level_text_survives_a_round_trip(text in any::<String>()) {
        let tokenizer = byte_level();
        let ids = tokenizer.encode(&text, false).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}
