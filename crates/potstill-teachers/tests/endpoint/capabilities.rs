//! What servers say they can do is not believed.

use potstill_core::{ChatError, ChatModel};
use potstill_teachers::{Capabilities, CompletionRequest, Endpoint, Error, Prompt, ServerKind};
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::server::{InTurn, Server, question, said, saying};

fn capabilities(server: &Server) -> Capabilities {
    let mut config = server.config();
    config.server = None;
    Endpoint::new(config).unwrap().capabilities().unwrap()
}

fn fixture(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string(text)
}

#[test]
fn a_server_that_ignores_fields_has_not_their_capabilities() {
    let server = Server::chatting(saying("hello"));
    server.owned_by("someone");
    let seen = capabilities(&server);
    assert_eq!(seen.server, ServerKind::Unknown);
    assert!(seen.chat && seen.seed);
    assert_eq!(
        (seen.top_log_probs, seen.scoring, seen.completions),
        (None, None, false)
    );
    assert_eq!(seen.max_positions, Some(64));
}

#[test]
fn what_came_back_counts() {
    let server = Server::chatting(fixture(include_str!(
        "../fixtures/endpoint/llama_cpp_chat.json"
    )));
    server.owned_by("llamacpp");
    let ignored = include_str!("../fixtures/endpoint/llama_cpp_completion.json");
    server.on("/v1/completions", fixture(ignored));
    let seen = capabilities(&server);
    assert_eq!(seen.server, ServerKind::LlamaCpp);
    assert_eq!((seen.top_log_probs, seen.scoring), (Some(2), None));
    assert!(seen.token_bytes && seen.token_ids && seen.completions);
}

#[test]
fn fewer_likely_tokens_are_tried_when_many_are_refused() {
    let server = Server::chatting(|request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        match body["top_logprobs"].as_u64() {
            Some(top) if top > 5 => ResponseTemplate::new(400).set_body_string("at most 5"),
            _ => fixture(include_str!("../fixtures/endpoint/ollama_chat.json")),
        }
    });
    server.owned_by("library");
    let seen = capabilities(&server);
    assert_eq!(
        (seen.server, seen.top_log_probs),
        (ServerKind::Ollama, Some(2))
    );
    assert!(!seen.token_bytes && !seen.token_ids);
}

#[test]
fn a_seed_that_changes_nothing_is_seen() {
    let answers = ["x", "y", "one", "two"].map(saying);
    let server = Server::chatting(InTurn::new(answers));
    let mut config = server.config();
    config.likely_tokens = 0;
    let seen = Endpoint::new(config).unwrap().capabilities().unwrap();
    assert!(!seen.seed);
}

#[test]
fn a_server_that_lets_nobody_in_is_an_error_and_no_lack() {
    let server = Server::chatting(ResponseTemplate::new(401).set_body_string("who are you?"));
    let error = Endpoint::new(server.config())
        .unwrap()
        .capabilities()
        .unwrap_err();
    assert!(
        matches!(error, Error::Rejected { status: 401, .. }),
        "{error}"
    );
}

#[test]
fn what_a_server_lacks_is_refused_with_its_name_the_field_and_an_alternative() {
    let server = Server::chatting(saying("hello"));
    let endpoint = Endpoint::new(server.config()).unwrap();
    let likely = question("hi").with_top_log_probs(5);
    let error = endpoint.chat(&[likely]).remove(0).unwrap_err();
    assert!(matches!(error, ChatError::Unsupported { .. }), "{error}");
    let message = error.to_string();
    for part in ["vLLM at http://", "`logprobs`", "learn from the text"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_request_that_makes_no_sense_is_refused_alone() {
    let server = Server::chatting(saying("hello"));
    let endpoint = Endpoint::new(server.config()).unwrap();
    let empty = potstill_core::ChatRequest::new(vec![], 4);
    let replies = endpoint.chat(&[empty, question("hi")]);
    assert!(matches!(replies[0], Err(ChatError::BadRequest { .. })));
    assert_eq!(replies[1].as_ref().unwrap().text, "hello");
}

#[test]
fn an_error_of_the_first_question_is_told_with_all_others() {
    let server = Server::start();
    let mut config = server.config();
    config.server = None;
    config.base_url = "http://127.0.0.1:9/v1".into();
    let endpoint = Endpoint::new(config).unwrap();
    let replies = endpoint.complete(&vec![
        CompletionRequest::new(Prompt::Text("a".into()), 1);
        3
    ]);
    assert!(matches!(replies[0], Err(Error::GaveUp { .. })));
    let message = replies[2].as_ref().unwrap_err().to_string();
    assert!(
        message.contains("gave up on http://127.0.0.1:9/v1"),
        "{message}"
    );
}

#[test]
fn text_is_continued_from_ids_and_from_text() {
    let server = Server::start();
    let mut answer = said("");
    answer["choices"][0] = json!({"text": "lo", "index": 0, "finish_reason": "length"});
    server.on(
        "/v1/completions",
        ResponseTemplate::new(200).set_body_json(answer),
    );
    let endpoint = Endpoint::new(server.config()).unwrap();
    let prompts = [Prompt::Text("hel".into()), Prompt::Tokens(vec![1, 2])];
    let requests = prompts.map(|prompt| CompletionRequest::new(prompt, 1));
    for reply in endpoint.complete(&requests) {
        assert_eq!(reply.unwrap().text, "lo");
    }
    let mut prompts: Vec<Value> = server
        .bodies()
        .iter()
        .map(|body| body["prompt"].clone())
        .collect();
    prompts.sort_by_key(Value::is_array);
    assert_eq!(prompts, [json!("hel"), json!([1, 2])]);
}

#[test]
fn it_can_be_called_from_inside_another_runtime() {
    let server = Server::chatting(saying("hello"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let text = runtime.block_on(async {
        let endpoint = Endpoint::new(server.config()).unwrap();
        endpoint.chat(&[question("hi")]).remove(0).unwrap().text
    });
    assert_eq!(text, "hello");
}
