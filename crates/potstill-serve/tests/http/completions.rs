//! `/v1/completions`, `/v1/models`, `/tokenize`, `/detokenize` and `/tokenizer_info`.

use burn::prelude::*;
use potstill_core::{CausalLm, Generate, GenerateOptions, TokenBatch, TokenRow};
use serde_json::{Value, json};

use crate::harness::{CONTEXT, get, model, post, server, tokenizer};

/// Log-probabilities of each token but the first, and the whole distributions, from the model.
fn reference(tokens: &[u32]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let row = TokenRow::document(tokens, &vec![1.0; tokens.len()]);
    let batch = TokenBatch::from_rows(&[row], 0, &Device::flex());
    let log_probs = burn::tensor::activation::log_softmax(model().row_logits(&batch), 1);
    let [_, vocab] = log_probs.dims();
    let flat = log_probs.into_data().try_to_vec::<f32>().unwrap();
    let rows: Vec<Vec<f32>> = flat.chunks(vocab).map(<[f32]>::to_vec).collect();
    let own = rows
        .iter()
        .zip(&tokens[1..])
        .map(|(row, &token)| row[token as usize])
        .collect();
    (own, rows)
}

fn floats(value: &Value) -> Vec<f32> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap() as f32).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }
}

#[tokio::test]
async fn the_likeliest_text_is_that_of_the_model() {
    let server = server();
    let body = json!({"model": "tiny", "prompt": "two and", "max_tokens": 10, "temperature": 0});
    let answer = post(&server, "/v1/completions", body).await.ok();
    let prompt = tokenizer().encode("two and", true).unwrap();
    let mut options = GenerateOptions::greedy(10);
    options.stop_tokens = tokenizer().eos_id().into_iter().collect();
    let expected = model()
        .generate(std::slice::from_ref(&prompt), &options)
        .unwrap()
        .remove(0);
    let choice = &answer["choices"][0];
    assert_eq!(
        choice["text"],
        tokenizer().decode(&expected.tokens, true).unwrap()
    );
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(choice["logprobs"], Value::Null);
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": prompt.len(), "completion_tokens": 10, "total_tokens": prompt.len() + 10})
    );
    assert_eq!(answer["object"], "text_completion");
}

#[tokio::test]
async fn scoring_a_prompt_gives_the_log_probabilities_of_the_model() {
    let server = server();
    let text = "user: é and 🦀";
    let tokens = tokenizer().encode(text, true).unwrap();
    let (own, rows) = reference(&tokens);
    for prompt in [json!(text), json!(tokens)] {
        let body = json!({"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 3});
        let answer = post(&server, "/v1/completions", body).await.ok();
        let choice = &answer["choices"][0];
        assert_eq!(choice["text"], format!("<s>{text}"));
        let log_probs = &choice["logprobs"];
        assert_eq!(log_probs["token_ids"], json!(tokens));
        assert_eq!(log_probs["token_logprobs"][0], Value::Null);
        assert_eq!(log_probs["top_logprobs"][0], Value::Null);
        assert_eq!(log_probs["top_token_ids"][0], json!([]));
        let scored = Value::from(log_probs["token_logprobs"].as_array().unwrap()[1..].to_vec());
        assert_close(&floats(&scored), &own);
        for (place, row) in rows.iter().enumerate() {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
            let expected: Vec<f32> = order[..3].iter().map(|&id| row[id]).collect();
            assert_close(
                &floats(&log_probs["top_logprob_values"][place + 1]),
                &expected,
            );
            let ids = log_probs["top_token_ids"][place + 1].as_array().unwrap();
            assert_eq!(ids[0], order[0]);
            let named = log_probs["top_logprobs"][place + 1].as_object().unwrap();
            assert!(
                (3..=4).contains(&named.len()),
                "three and perhaps the token itself: {named:?}"
            );
        }
        // "user" is one token, the crab is four.
        let offsets = log_probs["text_offset"].as_array().unwrap();
        assert_eq!(offsets[..3], [json!(0), json!(3), json!(7)]);
        assert_eq!(offsets[offsets.len() - 4..], vec![json!(15); 4]);
        assert_eq!(log_probs["tokens"][0], "<s>");
        assert_eq!(log_probs["tokens"][tokens.len() - 1], "bytes:\\x80");
    }
}

#[tokio::test]
async fn an_echo_stands_before_what_is_new() {
    let server = server();
    let body =
        json!({"prompt": "user", "max_tokens": 4, "echo": true, "logprobs": 0, "temperature": 0});
    let answer = post(&server, "/v1/completions", body).await.ok();
    let choice = &answer["choices"][0];
    assert!(
        choice["text"].as_str().unwrap().starts_with("<s>user"),
        "{choice}"
    );
    let ids: Vec<u32> = serde_json::from_value(choice["logprobs"]["token_ids"].clone()).unwrap();
    assert_eq!(ids.len(), 2 + 4);
    let (own, _) = reference(&ids);
    let scored = choice["logprobs"]["token_logprobs"].as_array().unwrap();
    assert_close(&floats(&Value::from(scored[1..].to_vec())), &own);
}

#[tokio::test]
async fn several_prompts_have_several_answers_each() {
    let server = server();
    let body = json!({"prompt": ["a", "user"], "n": 2, "max_tokens": 12, "seed": 7});
    let answer = post(&server, "/v1/completions", body.clone()).await.ok();
    let texts = |answer: &Value| -> Vec<String> {
        let choices = answer["choices"].as_array().unwrap();
        assert!(
            (0..)
                .zip(choices)
                .all(|(index, choice)| choice["index"] == index)
        );
        choices
            .iter()
            .map(|choice| choice["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let several = texts(&answer);
    assert_eq!(several.len(), 4);
    assert_ne!(several[0], several[1]);
    assert_eq!(
        several,
        texts(&post(&server, "/v1/completions", body).await.ok())
    );
    let single = json!({"prompt": "user", "max_tokens": 12, "seed": 7});
    assert_eq!(
        texts(&post(&server, "/v1/completions", single).await.ok()),
        several[2..3]
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
}

#[tokio::test]
async fn an_answer_is_the_same_alone_and_among_sixteen_others() {
    let server = server();
    let body = |text: &str| json!({"prompt": text, "max_tokens": 24, "temperature": 0});
    let alone = post(&server, "/v1/completions", body("user and"))
        .await
        .ok();
    let crowd = (0..17).map(|i| {
        let text = if i == 8 {
            "user and".to_owned()
        } else {
            "ab ".repeat(i)
        };
        let request = crate::harness::request(&server, "/v1/completions", &body(&text));
        tokio::spawn(crate::harness::send(request))
    });
    let crowd: Vec<_> = crowd.collect();
    for (i, request) in crowd.into_iter().enumerate() {
        let answer = request.await.unwrap().ok();
        if i == 8 {
            assert_eq!(answer["choices"], alone["choices"]);
        }
    }
}

#[tokio::test]
async fn token_lists_are_prompts() {
    let server = server();
    let body = json!({"prompt": [[262, 65], [66]], "max_tokens": 0, "echo": true, "logprobs": 1});
    let answer = post(&server, "/v1/completions", body).await.ok();
    assert_eq!(
        answer["choices"][0]["logprobs"]["token_ids"],
        json!([262, 65])
    );
    assert_eq!(
        answer["choices"][1]["logprobs"]["token_logprobs"],
        json!([null])
    );
}

#[tokio::test]
async fn the_model_is_listed_with_its_context() {
    let answer = get(&server(), "/v1/models").await.ok();
    assert_eq!(answer["data"][0]["id"], "tiny");
    assert_eq!(answer["data"][0]["max_model_len"], CONTEXT);
}

#[tokio::test]
async fn text_becomes_tokens_and_text_again() {
    let server = server();
    let body = json!({"prompt": "user é", "return_token_strs": true});
    let answer = post(&server, "/tokenize", body).await.ok();
    assert_eq!(
        answer["tokens"],
        json!(tokenizer().encode("user é", true).unwrap())
    );
    assert_eq!(answer["token_strs"][1], "user");
    let body = json!({"prompt": "user", "add_special_tokens": false});
    assert_eq!(post(&server, "/tokenize", body).await.ok()["count"], 1);
    let body = json!({"tokens": answer["tokens"]});
    assert_eq!(
        post(&server, "/detokenize", body).await.ok()["prompt"],
        "<s>user é"
    );
    let body = json!({"messages": [{"role": "user", "content": "a"}]});
    let tokens = post(&server, "/tokenize", body).await.ok()["tokens"].clone();
    let text = post(&server, "/detokenize", json!({ "tokens": tokens }))
        .await
        .ok();
    assert_eq!(
        text["prompt"],
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    );
    let error = post(&server, "/detokenize", json!({"tokens": [9999]}))
        .await
        .error();
    assert_eq!(
        error,
        (
            400,
            Some("tokens".into()),
            "there is no token 9999, only 267 of them".into()
        )
    );
}

#[tokio::test]
async fn the_tokenizer_says_what_clients_need_to_use_it_from_afar() {
    let server = server();
    let info = get(&server, "/tokenizer_info").await.ok();
    assert_eq!(info["bos_token"], "<s>");
    assert_eq!(info["eos_token"], "<|im_end|>");
    assert_eq!(info["pad_token"], Value::Null);
    assert_eq!(info["model_max_length"], CONTEXT);
    assert!(
        info["chat_template"]
            .as_str()
            .is_some_and(|template| template.contains("im_start"))
    );
}

/// The contract of lm-evaluation-harness: behind the prompt's tokens stands exactly one more.
#[tokio::test]
async fn scoring_with_one_new_token_puts_it_behind_the_prompt() {
    let server = server();
    let prompt = tokenizer().encode("two and two", false).unwrap();
    let body = json!({"prompt": [prompt], "max_tokens": 1, "temperature": 0, "seed": 1234,
        "logprobs": 1, "echo": true});
    let answer = post(&server, "/v1/completions", body).await.ok();
    let log_probs = &answer["choices"][0]["logprobs"];
    for name in ["tokens", "token_logprobs", "top_logprobs"] {
        assert_eq!(
            log_probs[name].as_array().unwrap().len(),
            prompt.len() + 1,
            "{name}"
        );
    }
    assert_eq!(log_probs["token_logprobs"][0], Value::Null);
    // Greedy or not is read from whether the token's own number is the largest one named.
    let last = prompt.len();
    let named = log_probs["top_logprobs"][last].as_object().unwrap();
    assert!(
        named
            .values()
            .any(|value| *value == log_probs["token_logprobs"][last])
    );
}
