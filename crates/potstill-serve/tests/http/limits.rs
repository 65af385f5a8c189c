//! Who may ask, for how much.

use std::time::Duration;

use potstill_serve::{BatchLimits, BearerToken, Server, ServerOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{
    CONTEXT, chat_with, get, model, post, request, send, serve, server, slow_model, until,
};

fn options(change: impl FnOnce(&mut ServerOptions)) -> ServerOptions {
    let mut options = ServerOptions::default();
    change(&mut options);
    options
}

#[tokio::test]
async fn only_those_with_the_token_are_let_in() {
    let options = options(|options| options.token = Some(BearerToken::new("sesame")));
    let server = serve(chat_with(model(), BatchLimits::default()), options);
    let body = json!({"prompt": "a", "max_tokens": 1});
    for header in [
        None,
        Some("Bearer wrong"),
        Some("Bearer sesame2"),
        Some("sesame"),
    ] {
        let mut request = request(&server, "/v1/completions", &body);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = send(request).await;
        assert_eq!(answer.error().0, 401, "{header:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(!answer.text.contains("sesame"));
    }
    let allowed = request(&server, "/v1/completions", &body).bearer_auth("sesame");
    send(allowed).await.ok();
    assert_eq!(get(&server, "/v1/models").await.status, 401);
    assert_eq!(get(&server, "/metrics").await.status, 401);
    assert_eq!(get(&server, "/nowhere").await.status, 401);
    assert_eq!(get(&server, "/health").await.ok(), json!({"status": "ok"}));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_field() {
    let server = server();
    let cases: [(&str, Value, u16, Option<&str>, &str); 12] = [
        (
            "/v1/completions",
            json!({"prompt": "a", "model": "gpt"}),
            404,
            Some("model"),
            "there is no model \"gpt\" here, only \"tiny\"",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "max_tokens": 600}),
            400,
            None,
            "the prompt has 2 tokens and 600 more were asked for, but the context has 512",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "max_tokens": 5000}),
            400,
            Some("max_tokens"),
            "max_tokens is 5000, it must be at most 4096",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "logprobs": 1000}),
            400,
            Some("logprobs"),
            "logprobs is 1000, this server names at most 256",
        ),
        (
            "/v1/completions",
            json!({"prompt": []}),
            400,
            None,
            "the prompt is empty",
        ),
        (
            "/v1/completions",
            json!({"prompt": [9999]}),
            400,
            None,
            "the prompt holds token 9999, but there are only 267 tokens",
        ),
        (
            "/v1/completions",
            json!({"prompt": {"a": 1}}),
            400,
            None,
            "\"prompt\" must be a string",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "n": 0}),
            400,
            Some("n"),
            "0 answers",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "temperature": -1}),
            400,
            None,
            "temperature is -1, it must be",
        ),
        (
            "/v1/completions",
            json!({"prompt": "a", "stop": ""}),
            400,
            None,
            "stop string 0 is empty",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": []}),
            400,
            None,
            "it has no messages",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2}),
            400,
            Some("top_logprobs"),
            "needs \"logprobs\": true",
        ),
    ];
    for (path, body, status, param, message) in cases {
        let error = post(&server, path, body).await.error();
        assert_eq!((error.0, error.1.as_deref()), (status, param), "{error:?}");
        assert!(error.2.contains(message), "{}", error.2);
    }
    let broken = request(&server, "/v1/completions", &Value::Null).body("{\"prompt\": ");
    assert_eq!(send(broken).await.error().0, 400);
    let (status, _, message) = get(&server, "/v1/complete").await.error();
    assert_eq!(status, 404);
    assert!(message.contains("/v1/completions"), "{message}");
    assert_eq!(get(&server, "/v1/completions").await.error().0, 405);
}

#[tokio::test]
async fn a_long_prompt_of_a_short_answer_just_fits() {
    let server = server();
    let prompt = vec![65; CONTEXT - 1];
    let body = |max_tokens| json!({"prompt": prompt, "max_tokens": max_tokens});
    post(&server, "/v1/completions", body(1)).await.ok();
    assert_eq!(post(&server, "/v1/completions", body(2)).await.status, 400);
}

#[tokio::test]
async fn a_large_body_is_refused_unread() {
    let options = options(|options| options.max_body_bytes = 1000);
    let server = serve(chat_with(model(), BatchLimits::default()), options);
    let body = json!({"prompt": "a".repeat(2000)});
    let error = post(&server, "/v1/completions", body).await.error();
    assert_eq!(
        (error.0, error.2.as_str()),
        (413, "the request is larger than 1000 bytes")
    );
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let options = options(|options| options.body_timeout = Duration::from_millis(50));
    let server = serve(chat_with(model(), BatchLimits::default()), options);
    let mut socket = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    socket
        .write_all(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = [0; 64];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 408"),
        "{:?}",
        &answer[..read]
    );
}

#[tokio::test]
async fn a_full_queue_asks_to_come_back() {
    let options = options(|options| {
        options.max_waiting = 2;
        options.retry_after = Duration::from_millis(1500);
    });
    let limits = BatchLimits {
        max_rows: 1,
        ..BatchLimits::default()
    };
    let server = serve(chat_with(slow_model(), limits), options);
    let body = json!({"prompt": "a", "max_tokens": 400, "temperature": 0});
    let running = tokio::spawn(send(request(&server, "/v1/completions", &body)));
    until(&server, "potstill_running_sequences", |rows| rows == 1.0).await;
    let waiting = tokio::spawn(send(request(
        &server,
        "/v1/completions",
        &json!({"prompt": ["a", "b"], "max_tokens": 1}),
    )));
    until(&server, "potstill_waiting_sequences", |rows| rows == 2.0).await;
    let refused = send(request(&server, "/v1/completions", &body)).await;
    assert_eq!(refused.error().0, 429);
    assert_eq!(refused.headers["retry-after"], "2");
    running.await.unwrap().ok();
    waiting.await.unwrap().ok();
}

#[tokio::test]
async fn more_answers_than_may_ever_wait_are_refused_for_good() {
    let options = options(|options| options.max_waiting = 2);
    let server = serve(chat_with(model(), BatchLimits::default()), options);
    let error = post(
        &server,
        "/v1/completions",
        json!({"prompt": ["a", "b"], "n": 2}),
    )
    .await
    .error();
    assert_eq!((error.0, error.1.as_deref()), (400, Some("n")));
}

#[test]
fn an_address_in_use_is_named() {
    let first = server();
    let address = first.address();
    let chat = chat_with(model(), BatchLimits::default());
    let error = Server::bind(address, chat.clone(), ServerOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let options = options(|options| options.max_waiting = 0);
    let error = Server::bind("127.0.0.1:0", chat, options).unwrap_err();
    assert_eq!(error.to_string(), "max_waiting is 0, it must be at least 1");
}
