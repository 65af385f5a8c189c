//! Nothing paid is lost, and nothing is paid twice.

use std::error::Error as _;

use potstill_core::{ChatModel, Sampling};
use potstill_teachers::{AnswerStore, ApiKey, Endpoint, EndpointConfig};

use crate::server::{Server, echoing, question, saying};

fn texts(config: EndpointConfig, n: usize) -> Vec<String> {
    let endpoint = Endpoint::new(config).unwrap();
    let requests: Vec<_> = (0..n).map(|i| question(&format!("q{i}"))).collect();
    let replies = endpoint.chat(&requests).into_iter();
    replies.map(|reply| reply.unwrap().text).collect()
}

#[test]
fn a_second_run_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(echoing);
    let config = server
        .config()
        .with_store(folder.path().join("answers.redb"));
    let first = texts(config.clone(), 20);
    assert_eq!(server.requests().len(), 20);
    assert_eq!(texts(config.clone(), 20), first);
    assert_eq!(server.requests().len(), 20);
    // Ten more are ten more.
    texts(config, 30);
    assert_eq!(server.requests().len(), 30);
}

#[test]
fn what_does_not_change_an_answer_does_not_change_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(echoing);
    let mut config = server
        .config()
        .with_store(folder.path().join("answers.redb"));
    texts(config.clone(), 5);
    config.api_key = Some(ApiKey::new("another"));
    config.limits.concurrency = 2;
    config.limits.attempt_seconds = 3.0;
    config.retry.attempts = 9;
    config.stream = true;
    texts(config, 5);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn what_changes_an_answer_changes_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(echoing);
    let config = server
        .config()
        .with_store(folder.path().join("answers.redb"));
    texts(config.clone(), 1);
    let other_model = EndpointConfig {
        model: "other".into(),
        ..config.clone()
    };
    texts(other_model, 1);
    let named = EndpointConfig {
        deployment: Some("the same weights elsewhere".into()),
        ..config.clone()
    };
    texts(named, 1);
    let endpoint = Endpoint::new(config).unwrap();
    let seeded = question("q0").with_seed(1);
    let longer = potstill_core::ChatRequest {
        max_tokens: 9,
        ..question("q0")
    };
    let warm = seeded.clone().with_sampling(Sampling::temperature(0.5));
    assert!(
        endpoint
            .chat(&[seeded, longer, warm])
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_server_that_moved_is_followed_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    for requests in [5, 0] {
        let server = Server::chatting(echoing);
        let mut config = server.config().with_store(&path);
        config.deployment = Some("teacher, 8 bit".into());
        texts(config, 5);
        assert_eq!(server.requests().len(), requests);
    }
}

#[test]
fn replaying_needs_no_server_and_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let server = Server::chatting(echoing);
    let config = server.config().with_store(&path);
    let first = texts(config.clone(), 3);
    drop(server);
    let replay = config.replaying();
    assert_eq!(texts(replay.clone(), 3), first);

    let endpoint = Endpoint::new(replay).unwrap();
    let replies = endpoint.chat(&[question("q1"), question("never asked")]);
    assert_eq!(replies[0].as_ref().unwrap().text, "q1");
    let error = replies[1].as_ref().unwrap_err().source().unwrap();
    let message = error.to_string();
    for part in ["answers.redb", "/chat/completions", "never asked"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_same_request_twice_at_once_is_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(echoing);
    let config = server
        .config()
        .with_store(folder.path().join("answers.redb"));
    let endpoint = Endpoint::new(config).unwrap();
    let replies = endpoint.chat(&vec![question("again"); 20]);
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(endpoint.spending().recalled, 19);
}

#[test]
fn draws_are_the_same_in_every_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::chatting(saying("drawn"));
    let config = server
        .config()
        .with_store(folder.path().join("answers.redb"));
    let drawn = question("q").with_sampling(Sampling::temperature(1.0));
    for _ in 0..2 {
        let endpoint = Endpoint::new(config.clone()).unwrap();
        endpoint.chat(&vec![drawn.clone(); 3]);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn the_raw_answer_is_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let server = Server::chatting(saying("hé"));
    texts(server.config().with_store(&path), 1);
    let store = AnswerStore::open_existing(&path).unwrap();
    let key = store.keys().unwrap()[0];
    let kept = store.get(&key).unwrap().unwrap();
    assert_eq!(
        kept.body,
        crate::server::said("hé").to_string().into_bytes()
    );
    assert!(
        kept.request.contains(r#""content":"q0""#),
        "{}",
        kept.request
    );
    assert_eq!(kept.content_type, "application/json");
}

#[test]
fn a_damaged_store_stops_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let server = Server::chatting(echoing);
    let config = server.config().with_store(&path);
    texts(config.clone(), 3);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(9)
        .position(|part| part == b"assistant")
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let message = Endpoint::new(config).unwrap_err().to_string();
    assert!(message.contains("answers.redb"), "{message}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len());
}
