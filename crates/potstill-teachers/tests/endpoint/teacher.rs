//! Servers that score text, as teachers.

use std::sync::Arc;

use potstill_core::{
    Prediction, Support, Taps, Teacher, TeacherError, TokenBatch, TokenRow, Vocabulary,
};
use potstill_teachers::{Endpoint, EndpointTeacher, Error, TokenBytes};
use potstill_testkit::{plain_device, values};
use serde_json::{Map, Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::server::Server;

const TOKENS: [&[u8]; 6] = [b"a", b"b", b" c", &[0xc3], &[0xa9], b"<s>"];

/// The fake model: what follows depends on the token before and on the position.
fn log_probs(context: &[u32]) -> Vec<f64> {
    let last = *context.last().unwrap() as usize;
    let logit = |next: usize| ((last * 7 + next * 3 + context.len() * 5) % 11) as f64 / 3.0;
    let total: f64 = (0..TOKENS.len()).map(|next| logit(next).exp()).sum();
    (0..TOKENS.len())
        .map(|next| logit(next) - total.ln())
        .collect()
}

/// The `k` likeliest, descending.
fn likeliest(context: &[u32], k: usize) -> Vec<(u32, f64)> {
    let mut all: Vec<(u32, f64)> = (0..).zip(log_probs(context)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(k);
    all
}

fn known() -> TokenBytes {
    TokenBytes::new(TOKENS.map(<[u8]>::to_vec).into()).unwrap()
}

fn shown(id: u32) -> String {
    String::from_utf8_lossy(TOKENS[id as usize]).into_owned()
}

/// One token a letter, as a server would tokenize text.
fn tokenize(text: &str) -> Vec<u32> {
    let id = |char: char| match char {
        'a' => 0,
        'b' => 1,
        _ => 2,
    };
    text.replace(" c", "c").chars().map(id).collect()
}

fn body_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn prompt_of(body: &Value, field: &str) -> Vec<u32> {
    match &body[field] {
        Value::String(text) => tokenize(text),
        ids => serde_json::from_value(ids.clone()).unwrap(),
    }
}

fn usage(n: usize) -> Value {
    json!({"prompt_tokens": n, "completion_tokens": 1})
}

/// `potstill-serve`: an echo with ids.
fn echo_with_ids(request: &Request) -> ResponseTemplate {
    let body = body_of(request);
    let ids = prompt_of(&body, "prompt");
    let k = usize::try_from(body["logprobs"].as_u64().unwrap_or(0)).unwrap();
    assert!(body["echo"] == true || body["logprobs"].is_null());
    let mut own = vec![Value::Null];
    let mut top = vec![vec![]];
    for at in 1..ids.len() {
        own.push(json!(log_probs(&ids[..at])[ids[at] as usize]));
        top.push(likeliest(&ids[..at], k));
    }
    let top_ids: Vec<Vec<u32>> = top
        .iter()
        .map(|row| row.iter().map(|t| t.0).collect())
        .collect();
    let values: Vec<Vec<f64>> = top
        .iter()
        .map(|row| row.iter().map(|t| t.1).collect())
        .collect();
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"text": "", "index": 0, "finish_reason": "length", "logprobs": {
            "tokens": ids.iter().map(|&id| shown(id)).collect::<Vec<_>>(),
            "token_logprobs": own, "text_offset": vec![0; ids.len()], "top_logprobs": null,
            "token_ids": ids, "top_token_ids": top_ids, "top_logprob_values": values,
        }}],
        "usage": usage(ids.len()),
    }))
}

/// A gateway that echoes text and takes nothing else.
fn echo_of_text(request: &Request) -> ResponseTemplate {
    let body = body_of(request);
    if !body["prompt"].is_string() {
        return ResponseTemplate::new(400).set_body_string("prompt must be a string");
    }
    let mut ids = prompt_of(&body, "prompt");
    let k = usize::try_from(body["logprobs"].as_u64().unwrap_or(0)).unwrap();
    let n = ids.len();
    for _ in 0..body["max_tokens"].as_u64().unwrap() {
        ids.push(likeliest(&ids, 1)[0].0);
    }
    let mut own = vec![Value::Null];
    let mut top = vec![Value::Null];
    for at in 1..ids.len() {
        own.push(json!(log_probs(&ids[..at])[ids[at] as usize]));
        let named = likeliest(&ids[..at], k).into_iter();
        top.push(
            named
                .map(|(id, p)| (shown(id), json!(p)))
                .collect::<Map<_, _>>()
                .into(),
        );
    }
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"text": "?", "index": 0, "finish_reason": "length", "logprobs": {
            "tokens": ids.iter().map(|&id| shown(id)).collect::<Vec<_>>(),
            "token_logprobs": own, "top_logprobs": top, "text_offset": vec![0; ids.len()],
        }}],
        "usage": usage(n),
    }))
}

/// vLLM.
fn prompt_logprobs(request: &Request) -> ResponseTemplate {
    let body = body_of(request);
    let ids = prompt_of(&body, "prompt");
    let k = usize::try_from(body["prompt_logprobs"].as_u64().unwrap_or(0)).unwrap();
    let mut rows = vec![Value::Null];
    for at in 1..ids.len() {
        let mut named = likeliest(&ids[..at], k);
        if !named.iter().any(|token| token.0 == ids[at]) {
            named.push((ids[at], log_probs(&ids[..at])[ids[at] as usize]));
        }
        let entry = |(id, p): (u32, f64)| {
            (
                id.to_string(),
                json!({"logprob": p, "rank": 1, "decoded_token": shown(id)}),
            )
        };
        rows.push(named.into_iter().map(entry).collect::<Map<_, _>>().into());
    }
    ResponseTemplate::new(200).set_body_json(json!({
        "choices": [{"text": "a", "index": 0, "finish_reason": "length",
                     "prompt_token_ids": ids, "prompt_logprobs": rows}],
        "usage": usage(ids.len()),
    }))
}

/// SGLang.
fn generate(request: &Request) -> ResponseTemplate {
    let body = body_of(request);
    let field = if body["text"].is_string() {
        "text"
    } else {
        "input_ids"
    };
    let ids = prompt_of(&body, field);
    let k = usize::try_from(body["top_logprobs_num"].as_u64().unwrap()).unwrap();
    let mut own = vec![json!([null, ids[0], null])];
    let mut top = vec![Value::Null];
    for at in 1..ids.len() {
        own.push(json!([
            log_probs(&ids[..at])[ids[at] as usize],
            ids[at],
            shown(ids[at])
        ]));
        let named = likeliest(&ids[..at], k).into_iter();
        top.push(named.map(|(id, p)| json!([p, id, shown(id)])).collect());
    }
    ResponseTemplate::new(200).set_body_json(json!({
        "text": "a", "meta_info": {
            "prompt_tokens": ids.len(), "completion_tokens": 1,
            "input_token_logprobs": own, "input_top_logprobs": top,
        },
    }))
}

fn endpoint(server: &Server) -> Endpoint {
    let mut config = server.config();
    config.server = None;
    config.likely_tokens = 4;
    Endpoint::new(config).unwrap().with_token_bytes(known())
}

fn teacher(server: &Server, top: usize) -> Result<EndpointTeacher, Error> {
    EndpointTeacher::new(endpoint(server), Vocabulary::of_size(8), top)
}

/// Two documents in one row, padding, and rows that do not count.
fn batch(documents: [&[u32]; 3]) -> TokenBatch {
    let mut packed = TokenRow::document(documents[0], &[0.0, 1.0, 1.0, 1.0][..documents[0].len()]);
    packed.push_document(documents[1], &vec![1.0; documents[1].len()]);
    let mut weights = vec![1.0; documents[2].len()];
    weights[1] = 0.0;
    *weights.last_mut().unwrap() = 0.0;
    let other = TokenRow::document(documents[2], &weights);
    TokenBatch::from_rows(&[packed, other], 0, &plain_device())
}

/// Every context of a row that counts, in order, with the token that follows.
fn contexts(documents: [&[u32]; 3]) -> Vec<(Vec<u32>, u32)> {
    let [first, second, third] = documents;
    let all = |tokens: &[u32]| {
        (1..tokens.len())
            .map(|n| (tokens[..n].to_vec(), tokens[n]))
            .collect::<Vec<_>>()
    };
    let counted = |(n, context): (usize, (Vec<u32>, u32))| {
        (1..third.len() - 2).contains(&n).then_some(context)
    };
    let third = all(third).into_iter().enumerate().filter_map(counted);
    all(first)
        .into_iter()
        .chain(all(second))
        .chain(third)
        .collect()
}

#[track_caller]
fn teaches_what_the_model_says(server: &Server, documents: [&[u32]; 3], k: usize) {
    let mut teacher = teacher(server, k).unwrap();
    let signal = teacher.signal(&batch(documents), &Taps::default()).unwrap();
    let Prediction::Sparse {
        token_ids,
        log_probs,
        support: Support::TopK { tail },
    } = signal.prediction
    else {
        panic!("an endpoint names a few tokens")
    };
    let contexts = contexts(documents);
    assert_eq!(token_ids.dims(), [contexts.len(), k]);
    let ids: Vec<i64> = token_ids.into_data().iter::<i64>().collect();
    let (log_probs, tail) = (values(&log_probs), values(&tail));
    for (row, (context, own)) in contexts.iter().enumerate() {
        let mut expected = likeliest(context, k);
        if expected.iter().all(|(id, _)| id != own) {
            expected[k - 1] = (*own, self::log_probs(context)[*own as usize]);
        }
        let mut rest = 1.0;
        for (column, (id, log_prob)) in expected.into_iter().enumerate() {
            let at = row * k + column;
            assert_eq!(ids[at], i64::from(id), "{context:?}");
            assert!((log_probs[at] - log_prob).abs() < 1e-5, "{context:?}");
            rest -= log_prob.exp();
        }
        assert!((tail[row] - rest.ln()).abs() < 1e-4, "{context:?}");
    }
}

const DOCUMENTS: [&[u32]; 3] = [&[5, 0, 1, 2], &[3, 4, 0], &[0, 3, 1, 1, 4]];

#[test]
fn an_echo_with_ids_teaches() {
    let server = Server::start();
    server.owned_by("potstill");
    server.on("/v1/completions", echo_with_ids);
    teaches_what_the_model_says(&server, DOCUMENTS, 4);
    teaches_what_the_model_says(&server, DOCUMENTS, 2);
    // Nothing is written, only read.
    let bodies = server.bodies();
    let mut echoes = bodies.iter().filter(|body| body["echo"] == true);
    assert!(echoes.all(|body| body["max_tokens"] == 0));
}

#[test]
fn prompt_logprobs_of_vllm_teach() {
    let server = Server::start();
    server.owned_by("vllm");
    server.on("/v1/completions", prompt_logprobs);
    teaches_what_the_model_says(&server, DOCUMENTS, 3);
}

#[test]
fn generate_of_sglang_teaches() {
    let server = Server::start();
    server.owned_by("sglang");
    server.on("/generate", generate);
    teaches_what_the_model_says(&server, DOCUMENTS, 3);
}

#[test]
fn an_echo_of_text_teaches_where_the_tokens_are_the_same() {
    let server = Server::start();
    server.on("/v1/completions", echo_of_text);
    // Text merges two tokens that are parts of characters; their mass stays in the tail.
    let documents: [&[u32]; 3] = [&[0, 1, 2], &[1, 1, 0], &[0, 2, 1, 1, 0]];
    let mut teacher = teacher(&server, 3).unwrap();
    let signal = teacher.signal(&batch(documents), &Taps::default()).unwrap();
    let Prediction::Sparse {
        token_ids,
        log_probs,
        support: Support::TopK { tail },
    } = signal.prediction
    else {
        panic!("an endpoint names a few tokens")
    };
    let [rows, k] = token_ids.dims();
    assert_eq!(rows, contexts(documents).len());
    let ids: Vec<i64> = token_ids.into_data().iter::<i64>().collect();
    let (log_probs_of_rows, tail) = (values(&log_probs), values(&tail));
    for (row, (context, _)) in contexts(documents).iter().enumerate() {
        let truth = self::log_probs(context);
        let mut mass = tail[row].exp();
        for at in row * k..(row + 1) * k {
            let id = usize::try_from(ids[at]).unwrap();
            let named = log_probs_of_rows[at];
            assert!((named - truth[id]).abs() < 1e-5, "{context:?}");
            mass += named.exp();
        }
        assert!((mass - 1.0).abs() < 1e-5, "{mass}");
    }
    let cut: [&[u32]; 3] = [&[0, 3, 1], &[1, 1], &[0, 1, 1]];
    let error = teacher.signal(&batch(cut), &Taps::default()).unwrap_err();
    let TeacherError::Source(source) = error else {
        panic!("{error}")
    };
    assert!(source.to_string().contains("is not UTF-8"), "{source}");
}

#[test]
fn a_server_that_cannot_score_is_refused_by_name() {
    let server = Server::start();
    server.owned_by("llamacpp");
    let ignored = include_str!("../fixtures/endpoint/llama_cpp_completion.json");
    server.on(
        "/v1/completions",
        ResponseTemplate::new(200).set_body_string(ignored),
    );
    let message = teacher(&server, 2).unwrap_err().to_string();
    for part in [
        "llama.cpp at http://",
        "`prompt_logprobs`",
        "serve the teacher with vLLM",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn more_likely_tokens_than_the_server_names_are_refused() {
    let server = Server::start();
    server.owned_by("potstill");
    server.on("/v1/completions", echo_with_ids);
    let message = teacher(&server, 5).unwrap_err().to_string();
    assert!(
        message.contains("5 likely tokens of a given text, it named 4"),
        "{message}"
    );
}

#[test]
fn another_vocabulary_is_refused_before_training() {
    let server = Server::start();
    server.owned_by("vllm");
    server.on("/v1/completions", prompt_logprobs);
    let mut other = TOKENS.map(<[u8]>::to_vec);
    other.swap(0, 1);
    let mut config = server.config();
    config.likely_tokens = 4;
    let endpoint = Endpoint::new(config)
        .unwrap()
        .with_token_bytes(TokenBytes::new(other.into()).unwrap());
    let error = EndpointTeacher::new(endpoint, Vocabulary::of_size(8), 2).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("teacher and student must have one tokenizer"),
        "{error}"
    );
    let error = EndpointTeacher::new(Arc::new(self::endpoint(&server)), Vocabulary::of_size(3), 2);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("bytes of 6 tokens") && message.contains("has 3"),
        "{message}"
    );
}

#[test]
fn what_a_server_does_not_have_is_refused_when_training() {
    let server = Server::start();
    server.owned_by("vllm");
    server.on("/v1/completions", prompt_logprobs);
    let mut teacher = teacher(&server, 2).unwrap();
    assert_eq!(teacher.max_positions(), Some(63));
    let error = teacher
        .signal(&batch(DOCUMENTS), &Taps::hidden([1]))
        .unwrap_err();
    let TeacherError::Source(source) = error else {
        panic!("{error}")
    };
    assert!(
        source
            .to_string()
            .contains("does not support hidden states"),
        "{source}"
    );
    let long = vec![0; 70];
    let row = TokenRow::document(&long, &vec![1.0; long.len()]);
    let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
    let error = teacher.signal(&batch, &Taps::default()).unwrap_err();
    assert!(
        matches!(
            error,
            TeacherError::TooLong {
                length: 70,
                max_positions: 64
            }
        ),
        "{error}"
    );
}
