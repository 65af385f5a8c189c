//! What each server's answer is read as, and what is refused.

use potstill_core::{ChatFinish, ChatToken, Message, Sampling};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../../../tests/fixtures/endpoint/",
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

fn top(token: &ChatToken) -> Vec<(&[u8], f32)> {
    let top = token.top.iter();
    top.map(|token| (token.bytes.as_slice(), token.log_prob))
        .collect()
}

#[test]
fn openai_tells_bytes_and_a_sentinel_is_no_log_probability() {
    let reply = reply(&fixture!("openai_chat.json"), Some(2), None).unwrap();
    assert_eq!(
        (reply.text.as_str(), &reply.finish),
        ("Hi 😀", &ChatFinish::Stop)
    );
    let usage = reply.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (9, 3));
    let tokens = reply.tokens.unwrap();
    assert_eq!(top(&tokens[0]), [(&b"Hi"[..], -0.25), (b"Hello", -1.75)]);
    assert_eq!(tokens[1].chosen.bytes, [32, 240, 159]);
    assert_eq!(tokens[1].chosen.log_prob, f32::NEG_INFINITY);
    assert_eq!(top(&tokens[1]), [(&b"!"[..], -0.01)]);
}

#[test]
fn vllm_names_ids_whose_bytes_the_tokenizer_knows() {
    let answer = fixture!("vllm_chat.json");
    let tokens = reply(&answer, Some(2), Some(&known()))
        .unwrap()
        .tokens
        .unwrap();
    assert_eq!(top(&tokens[0]), [(&[0xc3][..], -0.5), (b"a", -1.5)]);
    assert_eq!(top(&tokens[1]), [(&[0xa9][..], -0.125)]);
    let error = reply(&answer, Some(2), None).unwrap_err().to_string();
    assert!(
        error.contains("give the endpoint the tokenizer's bytes"),
        "{error}"
    );
    assert!(look(&answer).unwrap().ids);
}

#[test]
fn llama_cpp_tells_ids_and_bytes() {
    let answer = fixture!("llama_cpp_chat.json");
    let tokens = reply(&answer, Some(2), None).unwrap().tokens.unwrap();
    assert_eq!(top(&tokens[0]), [(&b"a"[..], -0.5), (&[0xc3], -2.5)]);
    let seen = look(&answer).unwrap();
    assert_eq!((seen.top, seen.bytes, seen.ids), (Some(2), true, true));
}

#[test]
fn ollama_tells_text_only_so_that_parts_of_characters_are_left_out() {
    let answer = fixture!("ollama_chat.json");
    let tokens = reply(&answer, Some(2), None).unwrap().tokens.unwrap();
    assert_eq!(top(&tokens[0]), [(&b"a"[..], -0.5)]);
    let seen = look(&answer).unwrap();
    assert_eq!((seen.top, seen.bytes, seen.ids), (Some(2), false, false));
}

#[test]
fn log_probabilities_that_nobody_wants_are_not_read() {
    let mut answer = fixture!("ollama_chat.json");
    answer["choices"][0]["logprobs"]["content"][0]["token"] = "\u{fffd}".into();
    assert_eq!(reply(&answer, None, None).unwrap().tokens, None);
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value), message: &str) {
    let mut answer = fixture!("openai_chat.json");
    change(&mut answer);
    let error = reply(&answer, Some(2), None).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn log_probabilities_that_are_missing_shuffled_or_none_are_refused() {
    let content = |answer: &mut Value| answer["choices"][0]["logprobs"]["content"].take();
    refused(
        |answer| drop(answer["choices"][0]["logprobs"].take()),
        "it has no `choices[0].logprobs`",
    );
    refused(
        |answer| {
            let mut tokens = content(answer);
            tokens.as_array_mut().unwrap().swap(0, 2);
            answer["choices"][0]["logprobs"]["content"] = tokens;
        },
        "token 0 cannot be right: the tokens do not spell the text",
    );
    refused(
        |answer| {
            let mut tokens = content(answer);
            tokens.as_array_mut().unwrap().remove(1);
            answer["choices"][0]["logprobs"]["content"] = tokens;
        },
        "token 1 cannot be right: the tokens do not spell the text",
    );
    refused(
        |answer| {
            let tokens = &mut answer["choices"][0]["logprobs"]["content"];
            tokens[0]["top_logprobs"][0]["logprob"] = 0.5.into();
        },
        "so they are not log-probabilities",
    );
    refused(
        |answer| {
            for i in 0..3 {
                let tokens = &mut answer["choices"][0]["logprobs"]["content"];
                tokens[i]["top_logprobs"] = json!([]);
            }
        },
        "it has no `top_logprobs`",
    );
}

#[test]
fn an_answer_cut_inside_a_character_is_an_answer() {
    let mut answer = fixture!("openai_chat.json");
    let choice = &mut answer["choices"][0];
    choice["finish_reason"] = "length".into();
    choice["message"]["content"] = "Hi \u{fffd}".into();
    choice["logprobs"]["content"].as_array_mut().unwrap().pop();
    let reply = reply(&answer, Some(2), None).unwrap();
    assert_eq!(reply.finish, ChatFinish::Length);
    assert_eq!(reply.tokens.unwrap()[1].chosen.bytes, [32, 240, 159]);
}

#[test]
fn an_answer_without_text_is_refused_and_a_refusal_is_text() {
    refused(
        |answer| answer["choices"] = json!([]),
        "it has no `choices`",
    );
    refused(
        |answer| drop(answer["choices"][0]["message"]["content"].take()),
        "it has no `choices[0].message.content`",
    );
    let mut answer = fixture!("openai_chat.json");
    answer["choices"][0]["message"] = json!({"content": null, "refusal": "No."});
    assert_eq!(reply(&answer, None, None).unwrap().text, "No.");
}

#[test]
fn each_server_is_asked_in_its_own_words() {
    let request = ChatRequest::new(vec![Message::user("hi")], 7).with_seed(3);
    let body = |kind, request: &ChatRequest| call(request, "m", kind).unwrap().body.unwrap();
    assert_eq!(
        body(ServerKind::OpenAi, &request),
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
               "max_completion_tokens": 7, "temperature": 0.0, "seed": 3})
    );
    let likely = request.clone().with_top_log_probs(5);
    let body = body(ServerKind::Vllm, &likely);
    assert_eq!(body["max_tokens"], 7);
    assert_eq!(
        (&body["logprobs"], &body["top_logprobs"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(body["return_tokens_as_token_ids"], true);
}

#[test]
fn a_field_that_the_server_would_drop_is_refused() {
    let sampling = Sampling {
        top_k: Some(5),
        ..Sampling::temperature(1.0)
    };
    let request = ChatRequest::new(vec![Message::user("hi")], 7).with_sampling(sampling);
    let lacking = call(&request, "m", ServerKind::OpenAi).unwrap_err();
    assert_eq!(lacking.feature, "`top_k`");
    assert!(call(&request, "m", ServerKind::Vllm).is_ok());
}
