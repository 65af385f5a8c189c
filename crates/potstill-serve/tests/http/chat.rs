//! `/v1/chat/completions`.

use serde_json::{Value, json};

use crate::harness::{post, server, tokenizer};

#[tokio::test]
async fn a_conversation_is_rendered_and_continued() {
    let server = server();
    let rendered = "<|im_start|>user\nuser<|im_end|>\n<|im_start|>assistant\n";
    let body = json!({"messages": [{"role": "user", "content": "user"}], "max_tokens": 9, "temperature": 0});
    let chat = post(&server, "/v1/chat/completions", body).await.ok();
    let body = json!({"prompt": tokenizer().encode(rendered, false).unwrap(), "max_tokens": 9, "temperature": 0});
    let completion = post(&server, "/v1/completions", body).await.ok();
    assert_eq!(
        chat["choices"][0]["message"]["content"],
        completion["choices"][0]["text"]
    );
    assert_eq!(chat["choices"][0]["message"]["role"], "assistant");
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    assert_eq!(chat["object"], "chat.completion");
    assert_eq!(chat["usage"], completion["usage"]);
}

#[tokio::test]
async fn log_probabilities_come_with_bytes_and_ids() {
    let server = server();
    let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "temperature": 0,
        "logprobs": true, "top_logprobs": 2});
    let answer = post(&server, "/v1/chat/completions", body).await.ok();
    let content = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(content.len(), 5);
    let mut bytes: Vec<u8> = Vec::new();
    for position in content {
        assert_eq!(position["top_logprobs"].as_array().unwrap().len(), 2);
        assert_eq!(
            position["top_logprobs"][0]["logprob"], position["logprob"],
            "greedy"
        );
        assert_eq!(
            position["top_logprobs"][0]["token_id"],
            position["token_id"]
        );
        bytes.extend(serde_json::from_value::<Vec<u8>>(position["bytes"].clone()).unwrap());
    }
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        String::from_utf8_lossy(&bytes).into_owned()
    );
}

#[tokio::test]
async fn an_answer_without_a_limit_fills_the_context() {
    let body = json!({"messages": [{"role": "user", "content": "a"}], "temperature": 0, "stop": ["never so"]});
    let answer = post(&server(), "/v1/chat/completions", body).await.ok();
    if answer["choices"][0]["finish_reason"] == "length" {
        assert_eq!(answer["usage"]["total_tokens"], crate::harness::CONTEXT);
    }
}

#[tokio::test]
async fn a_stop_text_ends_an_answer() {
    let server = server();
    let ask = |stop: Value| json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 12, "temperature": 0, "stop": stop});
    let whole = post(&server, "/v1/chat/completions", ask(Value::Null))
        .await
        .ok();
    let whole = whole["choices"][0]["message"]["content"].as_str().unwrap();
    let stop: String = whole.chars().skip(3).take(2).collect();
    let answer = post(&server, "/v1/chat/completions", ask(json!([stop])))
        .await
        .ok();
    let choice = &answer["choices"][0];
    assert_eq!(
        choice["message"]["content"],
        whole.split(&stop).next().unwrap()
    );
    assert_eq!(choice["finish_reason"], "stop");
}
