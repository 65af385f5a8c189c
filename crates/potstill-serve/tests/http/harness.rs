//! A server with a tiny model, and a client.

use std::time::Duration;

use burn::prelude::*;
use potstill_core::SpecialTokens;
use potstill_data::{ChatTemplate, TextTokenizer};
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_serve::{BatchLimits, LocalChat, RunningServer, Server, ServerOptions};
use serde_json::Value;

const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n\
    {% endif %}";

/// The context of the tiny model.
pub(crate) const CONTEXT: usize = 512;

pub(crate) fn tokenizer() -> TextTokenizer {
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("<|im_end|>".into()),
        ..SpecialTokens::default()
    };
    TextTokenizer::from_json(include_str!("../fixtures/byte_level.json"))
        .and_then(|tokenizer| tokenizer.with_special_tokens(specials))
        .unwrap()
}

pub(crate) fn model() -> LanguageModel {
    let vocab_size = tokenizer().vocab_size();
    let mut config = ModelConfig::new(Architecture::Llama, vocab_size, 32, 2, 4);
    config.max_positions = CONTEXT;
    LanguageModel::init(&config, 5, &Device::flex())
}

/// One whose answers take seconds.
pub(crate) fn slow_model() -> LanguageModel {
    let vocab_size = tokenizer().vocab_size();
    let mut config = ModelConfig::new(Architecture::Llama, vocab_size, 256, 6, 4);
    config.max_positions = CONTEXT;
    LanguageModel::init(&config, 5, &Device::flex())
}

pub(crate) fn chat_with(model: LanguageModel, limits: BatchLimits) -> LocalChat {
    let template = ChatTemplate::new(TEMPLATE, SpecialTokens::default()).unwrap();
    LocalChat::new("tiny", model, tokenizer(), Some(template), limits).unwrap()
}

pub(crate) fn serve(chat: LocalChat, options: ServerOptions) -> RunningServer {
    Server::bind("127.0.0.1:0", chat, options)
        .unwrap()
        .start()
        .unwrap()
}

/// The tiny model without limits that a test could meet.
pub(crate) fn server() -> RunningServer {
    serve(
        chat_with(model(), BatchLimits::default()),
        ServerOptions::default(),
    )
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Status, parameter and message of a failure in OpenAI's shape.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, Option<String>, String) {
        let error = &self.json()["error"];
        assert!(error["type"].is_string(), "{error}");
        let message = error["message"].as_str().unwrap();
        (
            self.status,
            error["param"].as_str().map(str::to_owned),
            message.to_owned(),
        )
    }

    /// The server-sent events.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.text.split("\n\n").filter(|event| !event.is_empty());
        events
            .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
            .collect()
    }
}

/// A client; its TLS has to be named even where none is used, as soon as some crate of the build
/// asks for it.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(crate) fn request(server: &RunningServer, path: &str, body: &Value) -> reqwest::RequestBuilder {
    client()
        .post(format!("http://{}{path}", server.address()))
        .header("content-type", "application/json")
        .timeout(Duration::from_secs(60))
        .body(body.to_string())
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

pub(crate) async fn post(server: &RunningServer, path: &str, body: Value) -> Answer {
    send(request(server, path, &body)).await
}

pub(crate) async fn get(server: &RunningServer, path: &str) -> Answer {
    send(client().get(format!("http://{}{path}", server.address()))).await
}

/// The value of a metric without labels.
pub(crate) async fn metric(server: &RunningServer, name: &str) -> f64 {
    let answer = get(server, "/metrics").await;
    let value = answer
        .text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {name} in {}", answer.text))
        .parse()
        .unwrap()
}

/// Waits until a metric has a value.
pub(crate) async fn until(server: &RunningServer, name: &str, wanted: impl Fn(f64) -> bool) {
    for _ in 0..500 {
        if wanted(metric(server, name).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} is {} after 5 s", metric(server, name).await);
}
