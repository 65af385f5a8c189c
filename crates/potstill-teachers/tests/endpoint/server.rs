//! Servers of tests.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use potstill_core::{ChatRequest, Message};
use potstill_teachers::{EndpointConfig, Retry, ServerKind};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A scripted server, driven from plain tests.
pub(crate) struct Server {
    runtime: Runtime,
    mock: MockServer,
}

impl Server {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mock = runtime.block_on(MockServer::start());
        Self { runtime, mock }
    }

    /// Answers conversations.
    pub(crate) fn chatting(answer: impl Respond + 'static) -> Self {
        let server = Self::start();
        server.on("/v1/chat/completions", answer);
        server
    }

    /// Answers POSTs to one path.
    pub(crate) fn on(&self, to: &str, answer: impl Respond + 'static) {
        let mock = Mock::given(method("POST"))
            .and(path(to))
            .respond_with(answer);
        self.runtime.block_on(mock.mount(&self.mock));
    }

    /// Lists models, which tells what the server is.
    pub(crate) fn owned_by(&self, owner: &str) {
        let models = json!({"data": [{"id": "tiny", "owned_by": owner, "max_model_len": 64}]});
        let answer = ResponseTemplate::new(200).set_body_json(models);
        let mock = Mock::given(method("GET"))
            .and(path("/v1/models"))
            .respond_with(answer);
        self.runtime.block_on(mock.mount(&self.mock));
    }

    pub(crate) fn config(&self) -> EndpointConfig {
        config(&self.mock.uri())
    }

    /// The POST requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.runtime.block_on(self.mock.received_requests());
        let mut requests = requests.unwrap();
        requests.retain(|request| request.method.as_str() == "POST");
        requests
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        let body = |request: &Request| serde_json::from_slice(&request.body).unwrap();
        self.requests().iter().map(body).collect()
    }
}

/// Quick to give up, and not asked what it is.
pub(crate) fn config(address: &str) -> EndpointConfig {
    let mut config = EndpointConfig::new(format!("{address}/v1"), "tiny");
    config.server = Some(ServerKind::Vllm);
    config.retry = Retry {
        attempts: 3,
        first_pause_seconds: 0.001,
        longest_pause_seconds: 0.01,
        longest_retry_after_seconds: 5.0,
        ..Retry::default()
    };
    config.limits.attempt_seconds = 10.0;
    config
}

/// The answers of a script in turn, the last one for ever.
pub(crate) struct InTurn {
    answers: Vec<ResponseTemplate>,
    next: AtomicUsize,
}

impl InTurn {
    pub(crate) fn new(answers: impl Into<Vec<ResponseTemplate>>) -> Self {
        Self {
            answers: answers.into(),
            next: AtomicUsize::new(0),
        }
    }
}

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.answers[turn.min(self.answers.len() - 1)].clone()
    }
}

/// What a turn of the model looks like.
pub(crate) fn said(text: &str) -> Value {
    json!({
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    })
}

pub(crate) fn saying(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(said(text))
}

/// Repeats the last turn, so that every request has its own answer.
pub(crate) fn echoing(request: &Request) -> ResponseTemplate {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let last = body["messages"].as_array().unwrap().last().unwrap();
    saying(last["content"].as_str().unwrap())
}

pub(crate) fn question(text: &str) -> ChatRequest {
    ChatRequest::new(vec![Message::user(text)], 8)
}

/// A server of raw bytes: each connection is answered with the next piece and closed; with `None` it
/// is left hanging. Returns its address and how many requests it read.
pub(crate) fn raw(answers: Vec<Option<Vec<u8>>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    thread::spawn(move || {
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&mut stream).unwrap();
            let turn = seen.fetch_add(1, Ordering::Relaxed);
            match &answers[turn.min(answers.len() - 1)] {
                Some(bytes) => stream.write_all(bytes).unwrap(),
                None => hanging.push(stream),
            }
        }
    });
    (address, count)
}

pub(crate) fn read_request(stream: &mut impl Read) -> io::Result<()> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&read).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if n == 0 || body.len() >= length {
            return Ok(());
        }
    }
}

/// A whole HTTP answer around `body`.
pub(crate) fn http(content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
