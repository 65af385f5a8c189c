//! What servers send instead of an answer: one clear error each.

use std::error::Error as _;
use std::sync::atomic::Ordering;

use potstill_core::ChatModel;
use potstill_teachers::{AnswerStore, Endpoint, EndpointConfig};
use serde_json::json;

use crate::server::{config, http, question, raw, said};

/// The message of the only attempt's error, and how often it was sent.
fn refused(answer: Vec<u8>, change: impl FnOnce(&mut EndpointConfig)) -> (String, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (address, count) = raw(vec![Some(answer)]);
    let mut config = config(&address).with_store(folder.path().join("answers.redb"));
    change(&mut config);
    let endpoint = Endpoint::new(config).unwrap();
    let error = endpoint.chat(&[question("hello")]).remove(0).unwrap_err();
    let mut message = error.source().unwrap().to_string();
    if let Some(last) = error.source().unwrap().source() {
        message = format!("{message}: {last}");
    }
    // Whatever came is kept, and not in the way of asking again.
    let store = endpoint.store().unwrap();
    assert_eq!(store.len().unwrap(), 0);
    (message, count.load(Ordering::Relaxed))
}

#[track_caller]
fn refused_once(answer: Vec<u8>, expected: &str) {
    let (message, count) = refused(answer, |_| ());
    assert!(message.contains(expected), "{message}");
    assert_eq!(count, 1);
}

#[test]
fn a_web_page_with_status_200_is_called_one() {
    let page = b"<!DOCTYPE html><title>Sign in</title>";
    refused_once(
        http("text/html", page),
        "it is a web page: \"<!DOCTYPE html>",
    );
}

#[test]
fn an_answer_that_was_cut_is_not_whole() {
    let whole = said("hello there").to_string();
    refused_once(
        http("application/json", &whole.as_bytes()[..60]),
        "it is not whole JSON",
    );
}

#[test]
fn an_answer_that_was_cut_inside_a_character_says_where() {
    let whole = said("é").to_string();
    let inside = whole.find('é').unwrap() + 1;
    refused_once(
        http("application/json", &whole.as_bytes()[..inside]),
        &format!("byte {} is not UTF-8", inside - 1),
    );
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let whole = http("application/json", said("hello").to_string().as_bytes());
    let cut = whole[..whole.len() - 10].to_vec();
    let (message, count) = refused(cut.clone(), |_| ());
    assert!(message.contains("after 3 attempts"), "{message}");
    assert!(
        message.contains("broke off in the middle of an answer"),
        "{message}"
    );
    assert_eq!(count, 3);

    let (address, _) = raw(vec![Some(cut), Some(whole)]);
    let endpoint = Endpoint::new(config(&address)).unwrap();
    assert_eq!(
        endpoint.chat(&[question("x")]).remove(0).unwrap().text,
        "hello"
    );
}

#[test]
fn a_body_without_end_is_left() {
    let endless = http("application/json", &b" ".repeat(10_000));
    let (message, count) = refused(endless, |config| config.limits.answer_bytes = 5_000);
    assert!(message.contains("sends more than 5000 bytes"), "{message}");
    assert_eq!(count, 1);
}

fn event(choice: serde_json::Value) -> String {
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn stream() -> String {
    event(json!({"index": 0, "delta": {"role": "assistant", "content": "hel"}}))
        + &event(json!({"index": 0, "delta": {"content": "lo é"}}))
        + &event(json!({"index": 0, "delta": {}, "finish_reason": "stop"}))
        + "data: [DONE]\n\n"
}

#[test]
fn a_stream_that_nobody_asked_for_is_read() {
    let (address, _) = raw(vec![Some(http("text/event-stream", stream().as_bytes()))]);
    let endpoint = Endpoint::new(config(&address)).unwrap();
    assert_eq!(
        endpoint.chat(&[question("x")]).remove(0).unwrap().text,
        "hello é"
    );
}

#[test]
fn a_stream_that_was_cut_or_garbled_is_refused() {
    let stream = stream();
    let cut = stream.find("\"stop\"").unwrap();
    refused_once(
        http(
            "text/event-stream",
            &stream.as_bytes()[..stream[..cut].rfind("data:").unwrap()],
        ),
        "the stream ends after 2 events without a finish reason",
    );
    refused_once(
        http("text/event-stream", &stream.as_bytes()[..cut]),
        "event 3 of the stream is not JSON",
    );
    let garbled = stream.replace(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\"",
        "data: {]",
    );
    refused_once(
        http("text/event-stream", garbled.as_bytes()),
        "event 2 of the stream is not JSON",
    );
    let inside = stream.find('é').unwrap() + 1;
    refused_once(
        http("text/event-stream", &stream.as_bytes()[..inside]),
        "is not UTF-8",
    );
}

#[test]
fn an_answer_without_what_was_asked_for_is_kept_and_refused_without_paying_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let (address, count) = raw(vec![Some(http(
        "application/json",
        json!({"choices": []}).to_string().as_bytes(),
    ))]);
    for _ in 0..2 {
        let endpoint = Endpoint::new(config(&address).with_store(&path)).unwrap();
        let error = endpoint.chat(&[question("x")]).remove(0).unwrap_err();
        let message = error.source().unwrap().to_string();
        assert!(message.ends_with("it has no `choices`"), "{message}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(AnswerStore::open(&path).unwrap().len().unwrap(), 1);
}
