//! Tests of answers on disk.

use std::sync::Arc;

use potstill_core::{Message, Sampling};
use potstill_testkit::ScriptedChat;

use super::*;

fn request(text: &str) -> ChatRequest {
    ChatRequest::new(vec![Message::user(text)], 8)
}

fn echo() -> Arc<ScriptedChat> {
    Arc::new(ScriptedChat::new("echo", |request| {
        request.messages[0].content.clone()
    }))
}

fn texts(replies: Vec<Result<ChatReply, ChatError>>) -> Vec<String> {
    replies
        .into_iter()
        .map(|reply| reply.unwrap().text)
        .collect()
}

#[test]
fn an_answer_is_found_again_with_all_that_belongs_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let model = echo();
    let first = ChatJournal::open(&path, Arc::clone(&model))
        .unwrap()
        .with_requests_at_a_time(2);
    let requests: Vec<ChatRequest> = ["a", "b\n\"", "c"].map(request).into();
    let replies = texts(first.chat(&requests));
    assert_eq!(replies, ["a", "b\n\"", "c"]);
    let whole = first.chat(&requests[1..2]).remove(0).unwrap();
    drop(first);
    let second = ChatJournal::open(&path, Arc::clone(&model)).unwrap();
    assert_eq!(
        texts(second.chat(&[request("c"), request("d"), request("a")])),
        ["c", "d", "a"]
    );
    assert_eq!(second.chat(&requests[1..2]).remove(0).unwrap(), whole);
    assert_eq!(model.requests(), 4);
}

#[test]
fn whatever_changes_a_request_is_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let model = echo();
    let journal = ChatJournal::open(folder.path().join("a.jsonl"), Arc::clone(&model)).unwrap();
    let system = ChatRequest::new(vec![Message::system("Be brief."), Message::user("x")], 8);
    let mut longer = request("x");
    longer.max_tokens = 9;
    let changed = [
        request("x"),
        system,
        longer,
        request("x").with_seed(1),
        request("x").with_stop(vec!["\n".into()]),
        request("x").with_top_log_probs(0),
        request("x").with_schema(serde_json::json!({})),
        request("x").with_sampling(Sampling {
            temperature: 0.5,
            ..Sampling::greedy()
        }),
    ];
    for _ in 0..2 {
        journal.chat(&changed);
        assert_eq!(model.requests(), changed.len());
    }
    let other = ScriptedChat::new("another model", |_| "y".into());
    drop(journal);
    let journal = ChatJournal::open(folder.path().join("a.jsonl"), other).unwrap();
    assert_eq!(texts(journal.chat(&[request("x")])), ["y"]);
}

#[test]
fn what_fails_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = Arc::new(ScriptedChat::fallible("flaky", |request| {
        match request.messages[0].content.as_str() {
            "bad" => Err(ChatError::Budget("none".into())),
            text => Ok(text.to_owned()),
        }
    }));
    let journal = ChatJournal::open(folder.path().join("a.jsonl"), Arc::clone(&model)).unwrap();
    for _ in 0..2 {
        let replies = journal.chat(&[request("good"), request("bad")]);
        assert!(replies[0].is_ok() && replies[1].is_err());
    }
    assert_eq!(model.requests(), 3);
}

#[test]
fn a_line_that_was_cut_off_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let journal = ChatJournal::open(&path, echo()).unwrap();
    journal.chat(&[request("a"), request("b")]);
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let model = echo();
        let journal = ChatJournal::open(&path, Arc::clone(&model)).unwrap();
        assert_eq!(
            texts(journal.chat(&[request("a"), request("b")])),
            ["a", "b"]
        );
        assert!((1..=2).contains(&model.requests()));
        drop(journal);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "{length}");
    }
}

#[test]
fn a_journal_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let _first = ChatJournal::open(&path, echo()).unwrap();
    assert!(matches!(
        ChatJournal::open(&path, echo()),
        Err(Error::JournalInUse { .. })
    ));
}
