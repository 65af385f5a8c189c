//! Tests of local chat.

use burn::prelude::*;
use potstill_core::{
    ChatFinish, Generate, GenerateOptions, Message, Sampling, SpecialTokens, TokenBatch, TokenRow,
};
use potstill_models::{Architecture, ModelConfig};

use super::*;

const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\
    {% endif %}";

fn tokenizer() -> TextTokenizer {
    let specials = SpecialTokens {
        eos: Some("<|im_end|>".into()),
        ..SpecialTokens::default()
    };
    TextTokenizer::from_json(include_str!("../../tests/fixtures/byte_level.json"))
        .and_then(|tokenizer| tokenizer.with_special_tokens(specials))
        .unwrap()
}

fn model() -> LanguageModel {
    padded_model(0)
}

/// A model with more embeddings than the tokenizer has tokens.
fn padded_model(padding: usize) -> LanguageModel {
    let vocab_size = tokenizer().vocab_size() + padding;
    let mut config = ModelConfig::new(Architecture::Llama, vocab_size, 32, 2, 4);
    config.max_positions = 128;
    LanguageModel::init(&config, 5, &Device::flex())
}

fn chat() -> LocalChat {
    let template = ChatTemplate::new(TEMPLATE, SpecialTokens::default()).unwrap();
    LocalChat::new(
        "tiny",
        model(),
        tokenizer(),
        Some(template),
        BatchLimits::default(),
    )
    .unwrap()
}

fn ask(text: &str, max_tokens: usize) -> ChatRequest {
    ChatRequest::new(vec![Message::user(text)], max_tokens)
}

fn prompt(text: &str) -> Vec<u32> {
    let text = format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n");
    tokenizer().encode(&text, false).unwrap()
}

#[test]
fn the_likeliest_answer_is_that_of_the_model() {
    let (chat, model) = (chat(), model());
    let texts = ["a", "user", "two and two", ""];
    let requests: Vec<ChatRequest> = texts
        .iter()
        .map(|text| ask(text, 12).with_top_log_probs(0))
        .collect();
    for (text, reply) in texts.iter().zip(chat.chat(&requests)) {
        let reply = reply.unwrap();
        let mut options = GenerateOptions::greedy(12);
        options.stop_tokens = tokenizer().eos_id().into_iter().collect();
        let generation = model.generate(&[prompt(text)], &options).unwrap().remove(0);
        let tokens = reply.tokens.unwrap();
        assert_eq!(tokens.len(), generation.tokens.len());
        let joined: Vec<u8> = tokens
            .iter()
            .flat_map(|token| token.chosen.bytes.clone())
            .collect();
        assert_eq!(
            String::from_utf8_lossy(&joined),
            tokenizer().decode(&generation.tokens, false).unwrap()
        );
        assert_eq!(
            reply.text,
            tokenizer().decode(&generation.tokens, true).unwrap()
        );
        let usage = reply.usage.unwrap();
        assert_eq!(usage.prompt_tokens, prompt(text).len() as u64);
        assert_eq!(usage.completion_tokens, tokens.len() as u64);
    }
}

#[test]
fn embeddings_that_are_only_padding_are_never_chosen() {
    let template = ChatTemplate::new(TEMPLATE, SpecialTokens::default()).unwrap();
    let (model, limits) = (padded_model(40), BatchLimits::default());
    let chat = LocalChat::new("padded", model, tokenizer(), Some(template), limits).unwrap();
    let request = ask("a", 90)
        .with_sampling(Sampling::temperature(1.0))
        .with_top_log_probs(0);
    for reply in chat.chat(&vec![request; 4]) {
        let tokens = reply.unwrap().tokens.unwrap();
        assert!(tokens.iter().all(|token| !token.chosen.bytes.is_empty()));
    }
}

#[test]
fn an_answer_with_a_seed_does_not_depend_on_what_shares_its_batch() {
    let chat = chat();
    let request = |text: &str, seed| {
        ask(text, 20)
            .with_sampling(Sampling::temperature(1.0))
            .with_seed(seed)
    };
    let alone = chat.chat(&[request("user", 3)]).remove(0).unwrap();
    let crowd: Vec<ChatRequest> = (0..16).map(|i| request(&"x".repeat(i * 3), 3)).collect();
    let others: Vec<ChatRequest> = crowd
        .iter()
        .cloned()
        .chain([request("user", 3), request("user", 4)])
        .collect();
    let mut replies = chat.chat(&others);
    let other_seed = replies.pop().unwrap().unwrap();
    let among = replies.pop().unwrap().unwrap();
    assert_eq!(alone, among);
    assert_ne!(alone.text, other_seed.text);
}

#[test]
fn requests_join_a_batch_that_is_running() {
    let chat = chat();
    let quiet: Vec<ChatReply> = (0..6)
        .map(|i| chat.chat(&[ask(&"ab".repeat(i), 30)]).remove(0).unwrap())
        .collect();
    let crowded: Vec<ChatReply> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|i| {
                let chat = &chat;
                scope.spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(i as u64));
                    chat.chat(&[ask(&"ab".repeat(i), 30)]).remove(0).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(quiet, crowded);
}

#[test]
fn likely_tokens_come_with_their_log_probabilities() {
    let reply = chat()
        .chat(&[ask("a", 3).with_top_log_probs(4)])
        .remove(0)
        .unwrap();
    let tokens = reply.tokens.unwrap();
    let ids = prompt("a");
    let weights = vec![1.0; ids.len() + 1];
    let with_next: Vec<u32> = ids.iter().copied().chain([0]).collect();
    let batch = TokenBatch::from_rows(
        &[TokenRow::document(&with_next, &weights)],
        0,
        &Device::flex(),
    );
    let model = model();
    let hidden = model.encode(&batch, &potstill_core::Taps::default()).hidden;
    let last = hidden.narrow(1, ids.len() - 1, 1).squeeze_dim::<2>(1);
    let head = model.head().truncated(tokenizer().vocab_size());
    let log_probs = burn::tensor::activation::log_softmax(head.logits(last), 1);
    let log_probs = log_probs.into_data().try_to_vec::<f32>().unwrap();
    let mut sorted = log_probs.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let top: Vec<f32> = tokens[0].top.iter().map(|token| token.log_prob).collect();
    assert_eq!(top.len(), 4);
    for (found, expected) in top.iter().zip(&sorted) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    assert_eq!(
        tokens[0].chosen, tokens[0].top[0],
        "the answer is the likeliest"
    );
}

#[test]
fn an_answer_ends_before_a_stop_text() {
    let chat = chat();
    let whole = chat.chat(&[ask("a", 12)]).remove(0).unwrap().text;
    let middle: String = whole.chars().skip(4).take(2).collect();
    let request = ask("a", 12).with_stop(vec![middle.clone()]);
    let reply = chat.chat(&[request]).remove(0).unwrap();
    assert_eq!(reply.text, whole.split(&middle).next().unwrap());
    assert_eq!(reply.finish, ChatFinish::Stop);
    assert!(reply.usage.unwrap().completion_tokens < 12);
}

#[test]
fn an_answer_ends_at_a_special_token_that_is_a_stop_text() {
    let chat = chat();
    let (tokens, strings) = chat.stops(&["<pad>".into(), "a".into(), "\n".into()]);
    assert_eq!(
        tokens,
        tokenizer()
            .token_id("<pad>")
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(strings, ["a", "\n"]);
}

#[test]
fn a_request_that_cannot_be_answered_says_why_and_leaves_the_others_alone() {
    let chat = chat();
    let requests = [
        ask("a", 4),
        ask("a", 200),
        ChatRequest::new(vec![], 4),
        ask("a", 4).with_sampling(Sampling::temperature(-1.0)),
        ask("a", 4).with_stop(vec![String::new()]),
    ];
    let mut replies = chat.chat(&requests).into_iter();
    assert_eq!(replies.next().unwrap().unwrap().finish, ChatFinish::Length);
    let length = prompt("a").len();
    let expected = [
        format!(
            "the prompt has {length} tokens and 200 more were asked for, but the context has 128; \
             together they must not be more"
        ),
        "it has no messages; give at least one".into(),
        "temperature is -1, it must be a finite number of at least 0".into(),
        "stop string 0 is empty; it would stop at once".into(),
    ];
    for (reply, expected) in replies.zip(expected) {
        let error = reply.unwrap_err();
        assert!(matches!(error, ChatError::BadRequest { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("tiny cannot continue this conversation: {expected}")
        );
    }
}

#[test]
fn without_a_template_there_is_no_conversation() {
    let chat = LocalChat::new("tiny", model(), tokenizer(), None, BatchLimits::default()).unwrap();
    let error = chat.chat(&[ask("a", 1)]).remove(0).unwrap_err();
    assert!(matches!(error, ChatError::Unsupported { .. }), "{error}");
}

#[test]
fn a_small_batch_answers_as_a_large_one() {
    let template = ChatTemplate::new(TEMPLATE, SpecialTokens::default()).unwrap();
    let limits = BatchLimits {
        max_rows: 2,
        max_prefill_tokens: 1,
        max_cache_bytes: 1,
    };
    let small = LocalChat::new("tiny", model(), tokenizer(), Some(template), limits).unwrap();
    let requests: Vec<ChatRequest> = (0..5).map(|i| ask(&"ab".repeat(i), 6 + i)).collect();
    let answers = |chat: &LocalChat| -> Vec<ChatReply> {
        chat.chat(&requests)
            .into_iter()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(answers(&small), answers(&chat()));
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let config = ModelConfig::new(Architecture::Llama, 100, 32, 1, 4);
    let small = LanguageModel::init(&config, 5, &Device::flex());
    let error =
        LocalChat::new("tiny", small, tokenizer(), None, BatchLimits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tokenizer does not fit the model tiny"
    );
    let limits = BatchLimits {
        max_rows: 0,
        ..BatchLimits::default()
    };
    let error = LocalChat::new("tiny", model(), tokenizer(), None, limits).unwrap_err();
    assert_eq!(error.to_string(), "max_rows is 0, it must be at least 1");
}
