//! Server-sent events.

use serde_json::{Value, json};

use crate::harness::{Answer, post, server};

/// The chunks of a stream that ended as it should.
#[track_caller]
fn chunks(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let mut events = answer.events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

fn joined<'a>(chunks: &'a [Value], text: impl Fn(&'a Value) -> &'a Value) -> String {
    chunks
        .iter()
        .filter_map(|chunk| text(chunk).as_str())
        .collect()
}

#[tokio::test]
async fn the_chunks_of_a_conversation_make_up_the_answer() {
    let server = server();
    let mut body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 40, "seed": 3,
        "logprobs": true, "top_logprobs": 1});
    let whole = post(&server, "/v1/chat/completions", body.clone())
        .await
        .ok();
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    let mut chunks = chunks(&post(&server, "/v1/chat/completions", body).await);
    let last = chunks.pop().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == last["id"])
    );
    let text = joined(&chunks, |chunk| &chunk["choices"][0]["delta"]["content"]);
    assert_eq!(text, whole["choices"][0]["message"]["content"]);
    let content = |chunk: &Value| {
        chunk["choices"][0]["logprobs"]["content"]
            .as_array()
            .cloned()
    };
    let positions: Vec<Value> = chunks.iter().filter_map(content).flatten().collect();
    assert_eq!(
        Value::from(positions),
        whole["choices"][0]["logprobs"]["content"]
    );
    let finish = &chunks.last().unwrap()["choices"][0]["finish_reason"];
    assert_eq!(finish, &whole["choices"][0]["finish_reason"]);
}

#[tokio::test]
async fn the_chunks_of_a_completion_make_up_the_answer() {
    let server = server();
    let mut body = json!({"prompt": "user é", "max_tokens": 30, "seed": 3, "echo": true, "logprobs": 2, "n": 2});
    let whole = post(&server, "/v1/completions", body.clone()).await.ok();
    body["stream"] = true.into();
    let chunks = chunks(&post(&server, "/v1/completions", body).await);
    for index in 0..2 {
        let own: Vec<Value> = chunks
            .iter()
            .filter(|chunk| chunk["choices"][0]["index"] == index)
            .cloned()
            .collect();
        let choice = &whole["choices"][index];
        assert_eq!(
            joined(&own, |chunk| &chunk["choices"][0]["text"]),
            choice["text"].as_str().unwrap()
        );
        for (field, expected) in choice["logprobs"].as_object().unwrap() {
            let values = own
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["logprobs"][field].as_array());
            let values: Vec<Value> = values.flatten().cloned().collect();
            assert_eq!(&Value::from(values), expected, "{field}");
        }
    }
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn a_request_that_is_wrong_gets_an_error_and_no_stream() {
    let body = json!({"prompt": "a", "stream": true, "logit_bias": {"1": 3}});
    let (status, param, message) = post(&server(), "/v1/completions", body).await.error();
    assert_eq!((status, param.as_deref()), (400, Some("logit_bias")));
    assert!(message.contains("`logit_bias`"), "{message}");
}
