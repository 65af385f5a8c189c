//! Clients that leave, and the end.

use std::time::Duration;

use potstill_serve::{BatchLimits, Error, Server, ServerOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{
    Answer, chat_with, get, metric, post, request, send, serve, server, slow_model, until,
};

fn slow_server(grace: Duration) -> potstill_serve::RunningServer {
    let mut options = ServerOptions::default();
    options.shutdown_grace = grace;
    serve(chat_with(slow_model(), BatchLimits::default()), options)
}

/// A request that takes seconds.
fn long() -> serde_json::Value {
    json!({"prompt": "a", "max_tokens": 500, "temperature": 0})
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_row() {
    let server = slow_server(Duration::from_secs(10));
    let mut streamed = long();
    streamed["stream"] = true.into();
    for body in [long(), streamed] {
        let before = metric(&server, "potstill_generated_tokens_total").await;
        let asking = tokio::spawn(send(request(&server, "/v1/completions", &body)));
        until(&server, "potstill_running_sequences", |rows| rows == 1.0).await;
        asking.abort();
        until(&server, "potstill_running_sequences", |rows| rows == 0.0).await;
        let generated = metric(&server, "potstill_generated_tokens_total").await - before;
        assert!(generated < 400.0, "{generated}");
    }
}

#[tokio::test]
async fn a_shutdown_finishes_what_was_begun_and_refuses_the_rest() {
    let chat = chat_with(slow_model(), BatchLimits::default());
    let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default()).unwrap();
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        stopped.await.unwrap();
    }));
    let url = format!("http://{address}");
    let client = crate::harness::client();
    let ask = |max_tokens: usize| {
        let body =
            json!({"prompt": "a", "max_tokens": max_tokens, "temperature": 0, "stream": true});
        let request = client.post(format!("{url}/v1/completions"));
        send(request.body(body.to_string()))
    };
    let begun = tokio::spawn(ask(300));
    loop {
        let metrics = send(client.get(format!("{url}/metrics"))).await.text;
        if metrics.contains("potstill_running_sequences 1") {
            break;
        }
    }
    stop.send(()).unwrap();
    let health = loop {
        let health = send(client.get(format!("{url}/health"))).await;
        if health.status != 200 {
            break health;
        }
    };
    assert_eq!(health.json(), json!({"status": "shutting down"}));
    let refused = ask(1).await.error();
    assert_eq!(refused.0, 503);
    assert!(!begun.is_finished(), "the model is too fast for this test");
    let answer: Answer = begun.await.unwrap();
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    serving.await.unwrap().unwrap();
    assert!(client.get(format!("{url}/health")).send().await.is_err());
}

#[tokio::test]
async fn a_shutdown_waits_only_so_long() {
    let server = slow_server(Duration::from_millis(100));
    let asking = tokio::spawn(request(&server, "/v1/completions", &long()).send());
    until(&server, "potstill_running_sequences", |rows| rows == 1.0).await;
    let error = tokio::task::spawn_blocking(|| server.shutdown())
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error, Error::ShutdownTimeout { unfinished: 1, .. }),
        "{error}"
    );
    assert!(asking.await.unwrap().is_err(), "its connection ended");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_shutdown() {
    let server = server();
    let mut socket = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    socket
        .write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 1024];
    assert!(socket.read(&mut answer).await.unwrap() > 0);
    tokio::task::spawn_blocking(|| server.shutdown())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_status() {
    let server = server();
    post(
        &server,
        "/v1/completions",
        json!({"prompt": "a", "max_tokens": 3, "temperature": 0}),
    )
    .await
    .ok();
    post(&server, "/v1/completions", json!({})).await.error();
    let metrics = get(&server, "/metrics").await.text;
    for line in [
        "potstill_requests_total{endpoint=\"/v1/completions\",status=\"200\"} 1",
        "potstill_requests_total{endpoint=\"/v1/completions\",status=\"400\"} 1",
        "potstill_prompt_tokens_total 2",
        "potstill_generated_tokens_total 3",
        "potstill_time_to_first_token_seconds_count 1",
        "potstill_answer_time_seconds_count 1",
        "# EOF",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "no {line} in {metrics}"
        );
    }
}
