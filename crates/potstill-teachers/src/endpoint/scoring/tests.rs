//! What each server says about a text, and what is refused.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::endpoint::wire::prompt::{ScoringApi, positions};

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../../tests/fixtures/endpoint/",
            $name
        )))
        .unwrap()
    };
}

/// `a`, `b`, ` c`, and the two bytes of `é`.
fn known() -> TokenBytes {
    let bytes: [&[u8]; 5] = [b"a", b"b", b" c", &[0xc3], &[0xa9]];
    TokenBytes::new(bytes.map(<[u8]>::to_vec).into()).unwrap()
}

fn score(
    api: ScoringApi,
    answer: &Value,
    tokens: &[u32],
    takes_ids: bool,
    top: usize,
) -> Result<Vec<NextToken>, AnswerProblem> {
    let known = known();
    let document = Document {
        tokens,
        follower: None,
        known: &known,
        takes_ids,
        top,
    };
    document.predictions(&positions(api, answer)?)
}

fn next(token_ids: &[u32], log_probs: &[f32]) -> NextToken {
    let mass: f64 = log_probs
        .iter()
        .map(|&log_prob| f64::from(log_prob).exp())
        .sum();
    NextToken {
        token_ids: token_ids.to_vec(),
        log_probs: log_probs.to_vec(),
        tail: (1.0 - mass).ln() as f32,
    }
}

#[test]
fn the_texts_own_token_is_named_behind_the_likeliest() {
    let answer = fixture!("vllm_prompt.json");
    let scored = score(ScoringApi::PromptLogprobs, &answer, &[0, 1, 2], true, 2).unwrap();
    let expected = [
        next(&[2, 0, 1], &[-0.5, -1.5, -3.0]),
        next(&[2, 3], &[-0.25, -2.0]),
        next(&[0, 1], &[-0.125, -2.5]),
    ];
    assert_eq!(scored, expected);
}

#[test]
fn sglang_tells_triples() {
    let answer = fixture!("sglang_generate.json");
    let scored = score(ScoringApi::Generate, &answer, &[0, 1], true, 2).unwrap();
    let expected = [next(&[1, 2], &[-0.75, -1.25]), next(&[2, 0], &[-0.5, -2.0])];
    assert_eq!(scored, expected);
}

#[test]
fn an_echo_without_ids_is_read_by_bytes() {
    let answer = fixture!("openai_echo.json");
    let scored = score(ScoringApi::Echo, &answer, &[0, 1], false, 2).unwrap();
    let expected = [next(&[1, 2], &[-0.75, -1.25]), next(&[2, 0], &[-0.5, -2.0])];
    assert_eq!(scored, expected);
}

#[test]
fn an_echo_with_ids_tells_tokens_apart_that_look_alike() {
    let answer = fixture!("potstill_echo.json");
    let scored = score(ScoringApi::Echo, &answer, &[0, 1], true, 3).unwrap();
    let expected = [
        next(&[1, 3, 4], &[-0.75, -1.5, -1.75]),
        next(&[2, 0], &[-0.5, -2.0]),
    ];
    assert_eq!(scored, expected);
}

#[test]
fn an_own_token_that_is_not_among_the_likeliest_takes_its_mass_from_the_tail() {
    let named = |answer: &Value, takes_ids| {
        let scored = score(ScoringApi::Echo, answer, &[0, 1], takes_ids, 1).unwrap();
        scored[0].clone()
    };
    for (mut answer, takes_ids) in [
        (fixture!("potstill_echo.json"), true),
        (fixture!("openai_echo.json"), false),
    ] {
        // The text's `b` is less likely than what is named.
        let log_probs = &mut answer["choices"][0]["logprobs"];
        log_probs["token_logprobs"][1] = (-1.75).into();
        log_probs["top_logprobs"][1] = serde_json::json!({" c": -0.75});
        if takes_ids {
            log_probs["top_token_ids"][1] = serde_json::json!([2]);
            log_probs["top_logprob_values"][1] = serde_json::json!([-0.75]);
        }
        assert_eq!(named(&answer, takes_ids), next(&[2, 1], &[-0.75, -1.75]));
        // Both together cannot have more than there is.
        let more = &mut answer["choices"][0]["logprobs"];
        more["token_logprobs"][1] = (-0.5).into();
        more["top_logprobs"][1] = serde_json::json!({" c": -0.5});
        if takes_ids {
            more["top_logprob_values"][1] = serde_json::json!([-0.5]);
        }
        let error = score(ScoringApi::Echo, &answer, &[0, 1], takes_ids, 1).unwrap_err();
        assert!(error.to_string().contains("sum to 1.213"), "{error}");
        // A server that does not tell it leaves it in the tail.
        answer["choices"][0]["logprobs"]["token_logprobs"][1] = Value::Null;
        assert_eq!(named(&answer, takes_ids), next(&[2], &[-0.5]));
    }
}

#[test]
fn what_follows_a_cut_document_is_sent_as_an_id_and_its_probability_is_read() {
    let known = known();
    let scoring = |takes_ids| Scoring {
        api: ScoringApi::Echo,
        top: 4,
        takes_ids,
        max_tokens: 0,
    };
    let with_ids = Document::new(&[0], Some(1), &known, scoring(true), 2);
    assert_eq!(with_ids.prompt(), Ok(Prompt::Tokens(vec![0, 1])));
    let mut answer = fixture!("potstill_echo.json");
    let log_probs = &mut answer["choices"][0]["logprobs"];
    log_probs["token_logprobs"][1] = (-2.5).into();
    log_probs["top_token_ids"][1] = serde_json::json!([3, 4]);
    log_probs["top_logprob_values"][1] = serde_json::json!([-1.0, -1.5]);
    let positions = positions(ScoringApi::Echo, &answer).unwrap();
    let scored = with_ids.predictions(&positions).unwrap();
    assert_eq!(scored, [next(&[3, 4, 1], &[-1.0, -1.5, -2.5])]);
    // The server must have read it, too.
    let other = Document::new(&[0], Some(2), &known, scoring(true), 2);
    let error = other.predictions(&positions).unwrap_err();
    assert!(error.to_string().contains("token 1 is 1"), "{error}");
    // Text could be read otherwise with it, and what has no bytes cannot be checked.
    let as_text = Document::new(&[0], Some(1), &known, scoring(false), 2);
    assert_eq!(as_text.prompt(), Ok(Prompt::Text("a".into())));
    let unknown = Document::new(&[0], Some(9), &known, scoring(true), 2);
    assert_eq!(unknown.prompt(), Ok(Prompt::Tokens(vec![0, 0])));
}

#[test]
fn an_echo_that_was_ignored_is_no_score() {
    let answer = fixture!("llama_cpp_completion.json");
    let error = score(ScoringApi::Echo, &answer, &[0], true, 2).unwrap_err();
    assert!(matches!(error, AnswerProblem::LogProbs { .. }), "{error}");
    let mut late = fixture!("openai_echo.json");
    late["choices"][0]["logprobs"]["text_offset"] = serde_json::json!([5, 6, 7]);
    let error = score(ScoringApi::Echo, &late, &[0, 1], false, 2).unwrap_err();
    assert!(
        error.to_string().contains("although `echo` was asked for"),
        "{error}"
    );
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value), message: &str) {
    let mut answer = fixture!("vllm_prompt.json");
    change(&mut answer["choices"][0]);
    let error = score(ScoringApi::PromptLogprobs, &answer, &[0, 1, 2], true, 2).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn a_server_that_read_other_tokens_is_refused() {
    refused(
        |choice| {
            choice["prompt_token_ids"][1] = 4.into();
            let entry = choice["prompt_logprobs"][1]["1"].take();
            choice["prompt_logprobs"][1] = serde_json::json!({"4": entry});
        },
        "the server's token 1 is 4 (\"b\"), but 1 (\"b\") was sent; teacher and student must have one \
         tokenizer",
    );
    refused(
        |choice| choice["prompt_logprobs"][1]["1"]["decoded_token"] = "x".into(),
        "the server's token 1 is \"x\", but 1 (\"b\") was sent",
    );
    refused(
        |choice| choice["prompt_logprobs"][2]["3"]["decoded_token"] = "x".into(),
        "the server's token 2 is 3 (\"x\")",
    );
}

#[test]
fn likely_tokens_that_are_missing_shuffled_or_no_probabilities_are_refused() {
    refused(
        |choice| drop(choice["prompt_logprobs"].take()),
        "it has no `choices[0].prompt_logprobs`",
    );
    refused(
        |choice| drop(choice["prompt_logprobs"].as_array_mut().unwrap().pop()),
        "there are 4 `prompt_token_ids` and 3 `prompt_logprobs`",
    );
    refused(
        |choice| choice["prompt_logprobs"].as_array_mut().unwrap().swap(1, 2),
        "token 1 cannot be right: the text's own token 1 is not among those named",
    );
    refused(
        |choice| choice["prompt_logprobs"][2]["2"]["logprob"] = 3.5.into(),
        "so they are not log-probabilities",
    );
    refused(
        |choice| choice["prompt_logprobs"][2] = serde_json::json!({}),
        "token 2 cannot be right: no likely token is named",
    );
    refused(
        |choice| choice["prompt_logprobs"][2]["x"] = choice["prompt_logprobs"][2]["2"].clone(),
        "\"x\" is not a token id",
    );
}

#[test]
fn a_text_that_the_server_tokenizes_otherwise_is_refused() {
    let answer = fixture!("openai_echo.json");
    let error = score(ScoringApi::Echo, &answer, &[1, 0], false, 2).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("use a server that takes token ids"),
        "{error}"
    );
}

#[test]
fn a_segment_that_is_no_text_cannot_be_sent_as_text() {
    let known = known();
    let document = |tokens| Document {
        tokens,
        follower: None,
        known: &known,
        takes_ids: false,
        top: 2,
    };
    assert_eq!(document(&[3, 4]).prompt(), Ok(Prompt::Text("é".into())));
    let error = document(&[0, 3]).prompt().unwrap_err();
    assert!(error.contains("byte 1 of the text is not UTF-8"), "{error}");
    let error = document(&[9]).prompt().unwrap_err();
    assert!(error.contains("token 9 is not among the 5"), "{error}");
}

#[test]
fn tokens_that_are_dropped_go_to_the_tail() {
    let row = next(&[0, 1, 2], &[-1.0, -2.0, -3.0]);
    for (k, own, expected) in [
        (1, None, next(&[0], &[-1.0])),
        (1, Some(2), next(&[2], &[-3.0])),
        (2, Some(2), next(&[0, 2], &[-1.0, -3.0])),
        (2, Some(1), next(&[0, 1], &[-1.0, -2.0])),
        (2, Some(7), next(&[0, 1], &[-1.0, -2.0])),
    ] {
        let found = row.clone().narrowed(k, own);
        assert_eq!(found.token_ids, expected.token_ids);
        assert!((found.tail - expected.tail).abs() < 1e-6);
    }
    assert_eq!(row.clone().narrowed(3, Some(2)), row);
}

proptest! {
    #[test]
    fn damaged_answers_are_errors_or_distributions(
        cut in 0usize..1500, byte in any::<u8>(), at in 0usize..1500,
    ) {
        let apis = [ScoringApi::PromptLogprobs, ScoringApi::Generate, ScoringApi::Echo];
        let texts = [
            include_str!("../../../tests/fixtures/endpoint/vllm_prompt.json"),
            include_str!("../../../tests/fixtures/endpoint/sglang_generate.json"),
            include_str!("../../../tests/fixtures/endpoint/potstill_echo.json"),
        ];
        for (api, text) in apis.into_iter().zip(texts) {
            let mut bytes = text.as_bytes().to_vec();
            let place = at % bytes.len();
            bytes[place] = byte;
            if cut % 2 == 0 {
                bytes.truncate(cut % text.len());
            }
            let Ok(answer) = serde_json::from_slice::<Value>(&bytes) else { continue };
            for row in score(api, &answer, &[0, 1], true, 3).unwrap_or_default() {
                let named = row.log_probs.iter().map(|&p| f64::from(p).exp()).sum::<f64>();
                let mass = named + f64::from(row.tail).exp();
                prop_assert!((mass - 1.0).abs() < 2e-3, "{row:?}");
            }
        }
    }
}
