//! Scores of text against sums over logits.

use potstill_core::SpecialTokens;
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_testkit::{TableLm, plain_device};
use proptest::prelude::*;

use super::*;

/// Letters `a` to `f`, a space, and the beginning of a text.
fn tokenizer() -> TextTokenizer {
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        ..SpecialTokens::default()
    };
    TextTokenizer::from_json(
        r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [{"id": 0, "content": "<s>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}], "post_processor": null,
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated",
            "invert": false}, "decoder": {"type": "Fuse"}, "model": {"type": "WordLevel",
            "unk_token": " ", "vocab": {"<s>": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6,
            " ": 7}}}"#,
    )
    .and_then(|tokenizer| tokenizer.with_special_tokens(specials))
    .unwrap()
}

fn table() -> TableLm {
    TableLm::new(8, 2, 1.5, 11, &plain_device())
}

fn model() -> LocalTextModel<TableLm> {
    LocalTextModel::new("table", &table(), tokenizer()).unwrap()
}

/// Of the last `scored` of `tokens`, from the table itself.
fn by_hand(tokens: &[u32], scored: usize) -> LogLikelihood {
    let table = table().probabilities();
    let mut found = LogLikelihood {
        log_prob: 0.0,
        is_greedy: true,
    };
    for place in tokens.len() - scored..tokens.len() {
        let earlier = if place >= 2 { tokens[place - 2] } else { 0 };
        let q = &table[(earlier * 8 + tokens[place - 1]) as usize];
        let own = q[tokens[place] as usize];
        found.log_prob += own.ln();
        found.is_greedy &= q.iter().all(|other| *other <= own);
    }
    found
}

#[track_caller]
fn assert_same(found: LogLikelihood, expected: LogLikelihood) {
    assert!(
        (found.log_prob - expected.log_prob).abs() < 1e-5,
        "{found:?} {expected:?}"
    );
    assert_eq!(found.is_greedy, expected.is_greedy);
}

#[test]
fn white_space_at_the_end_of_a_context_belongs_to_the_continuation() {
    let found = model()
        .log_likelihood(&[
            ("ab ", "c"),
            ("ab", " c"),
            ("", "ac"),
            ("", "<s>a"),
            (" ", "a"),
        ])
        .unwrap();
    assert_same(found[0], by_hand(&[1, 2, 7, 3], 2));
    assert_eq!(found[0], found[1]);
    assert_same(found[2], by_hand(&[0, 1, 3], 2));
    assert_same(found[3], by_hand(&[0, 1], 1));
    assert_same(found[4], by_hand(&[0, 7, 1], 2));
}

#[test]
fn what_does_not_fit_loses_its_beginning() {
    let found = model()
        .with_window(3)
        .log_likelihood(&[("abcdef", "ab")])
        .unwrap();
    assert_same(found[0], by_hand(&[5, 6, 1, 2], 2));
}

#[test]
fn a_long_text_is_predicted_window_by_window() {
    let found = model()
        .with_window(3)
        .log_likelihood_rolling(&["abcde", "", "f"])
        .unwrap();
    let expected = by_hand(&[0, 1, 2, 3], 3).log_prob + by_hand(&[2, 3, 4, 5], 2).log_prob;
    assert!((found[0] - expected).abs() < 1e-5, "{found:?} {expected}");
    assert_eq!(found[1], 0.0);
    assert_same(
        LogLikelihood {
            log_prob: found[2],
            is_greedy: by_hand(&[0, 6], 1).is_greedy,
        },
        by_hand(&[0, 6], 1),
    );
}

#[test]
fn a_text_that_cannot_be_scored_is_named_with_the_reason() {
    let model = model().with_window(2);
    let problem = |pairs: &[(&str, &str)]| {
        let error = model.log_likelihood(pairs).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        format!("{error}: {source}")
    };
    assert_eq!(
        problem(&[("a", "b"), ("a", "")]),
        "text 1 cannot be put to the model: its continuation adds no token to its context"
    );
    assert_eq!(
        problem(&[("a", "bcd")]),
        "text 0 cannot be put to the model: its continuation has 3 tokens, the model reads 2 at once"
    );
    let error = model
        .generate_until(&["a"], &GenerateUntil::greedy(2))
        .unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .starts_with("2 new tokens were asked for, which leaves no room"),
    );
}

#[test]
fn a_model_with_logits_that_are_not_numbers_is_refused() {
    let broken = TableLm::new(8, 1, f64::NAN, 1, &plain_device());
    let model = LocalTextModel::new("broken", &broken, tokenizer()).unwrap();
    let error = model.log_likelihood(&[("a", "b")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model gives no probability for a token of text 0"
    );
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let small = TableLm::new(5, 1, 1.0, 1, &plain_device());
    let error = LocalTextModel::new("small", &small, tokenizer()).unwrap_err();
    assert_eq!(error.to_string(), "small does not fit its tokenizer");
}

#[test]
fn text_ends_before_what_ends_it() {
    let tokenizer = tokenizer();
    let mut config = ModelConfig::new(Architecture::Llama, 8, 16, 1, 2);
    config.max_positions = 32;
    let model = LanguageModel::init(&config, 3, &plain_device());
    let model = LocalTextModel::new("tiny", &model, tokenizer).unwrap();
    let whole = model
        .generate_until(&["ab", ""], &GenerateUntil::greedy(8))
        .unwrap();
    let until: String = whole[0].chars().skip(2).take(2).collect();
    let options = GenerateUntil {
        until: vec![until.clone()],
        ..GenerateUntil::greedy(8)
    };
    let cut = model.generate_until(&["ab"], &options).unwrap();
    assert_eq!(cut[0], whole[0][..whole[0].find(&until).unwrap()]);
}

proptest! {
    #[test]
    fn sharing_what_is_read_changes_nothing(
        texts in prop::collection::vec(("[a-c]{1,4}", "[a-c]{1,3}"), 1..12),
    ) {
        let pairs: Vec<(&str, &str)> =
            texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let found = model().log_likelihood(&pairs).unwrap();
        for ((context, continuation), found) in pairs.into_iter().zip(found) {
            let tokens = tokenizer().encode(&format!("{context}{continuation}"), false).unwrap();
            let expected = by_hand(&tokens, continuation.len());
            prop_assert!((found.log_prob - expected.log_prob).abs() < 1e-5);
            prop_assert_eq!(found.is_greedy, expected.is_greedy);
        }
    }
}
