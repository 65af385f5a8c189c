//! The key is sent, and is nowhere else.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use potstill_core::ChatModel;
use potstill_teachers::Endpoint;
use tracing_subscriber::fmt::MakeWriter;
use wiremock::ResponseTemplate;

use crate::server::{InTurn, Server, question, said};

const KEY: &str = "sk-hunter2-hunter2-hunter2";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error:?} {error}").unwrap();
        cause = error.source();
    }
    text
}

#[test]
fn a_key_is_in_no_log_no_error_no_store_and_no_report() {
    let log = Log::default();
    // Every level of every crate, HTTP libraries included.
    tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .init();
    let folder = tempfile::tempdir().unwrap();
    let repeated = format!("{{\"error\": {{\"message\": \"wrong key {KEY}\"}}}}");
    let denied = |status| ResponseTemplate::new(status).set_body_string(repeated.clone());
    let echoed = ResponseTemplate::new(200).set_body_json(said(&format!("your key is {KEY}")));
    let page = ResponseTemplate::new(200).set_body_string(format!("<p>{KEY}</p>"));
    // As some gateways spell it in JSON.
    let escaped = repeated.replace('-', "\\u002d");
    let escaped = ResponseTemplate::new(400).set_body_string(escaped);
    let answers = [denied(500), echoed, page, denied(401), escaped];
    let server = Server::chatting(InTurn::new(answers));
    let mut config = server.config().with_api_key(KEY);
    config.store = Some(folder.path().join("answers.redb"));
    config.limits.concurrency = 1;
    let mut seen = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
    {
        let endpoint = Endpoint::new(config).unwrap();
        let requests: Vec<_> = (0..4).map(|n| question(&format!("q{n}"))).collect();
        for reply in endpoint.chat(&requests) {
            match reply {
                Ok(reply) => seen += &reply.text,
                Err(error) => seen += &chain(&error),
            }
        }
        write!(seen, "{endpoint:?} {}", endpoint.spending()).unwrap();
    }
    let sent = server.requests();
    assert_eq!(sent.len(), 5);
    let header = sent[0].headers["authorization"].to_str().unwrap();
    assert_eq!(header, format!("Bearer {KEY}"));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("an attempt failed") && log.contains("hyper"),
        "{log}"
    );
    assert!(seen.contains("your key is [api key]"), "{seen}");
    assert!(seen.contains("wrong key [api key]"), "{seen}");
    assert!(seen.contains(r#"reason: "wrong key [api key]""#), "{seen}");
    for (place, text) in [("log", log), ("answers and errors", seen)] {
        assert!(!text.contains("hunter2"), "{place}: {text}");
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    }
}
