//! Pairs and tasks: what shares a row, and what is counted.

use serde_json::json;

use super::*;
use crate::sample_tokenizers;

fn record(content: Content, key: &str, text: &str) -> Record {
    let mut record = Record::from(content);
    record.meta.insert(key.to_owned(), json!(text));
    record
}

/// The text that counts in each document of a row.
fn counted(row: &TokenRow) -> Vec<String> {
    let tokenizer = sample_tokenizers::byte_level();
    (1..=row.documents() as u32)
        .map(|segment| {
            let places = (0..row.len())
                .filter(|&place| row.segments()[place] == segment && row.weights()[place] != 0.0);
            let targets: Vec<u32> = places.map(|place| row.targets()[place]).collect();
            tokenizer.decode(&targets, true).unwrap()
        })
        .collect()
}

fn preferences(records: &[Record]) -> Result<GroupedRows, Error> {
    let options = EncodeOptions {
        loss_on: crate::LossOn::Everything,
        ..EncodeOptions::default()
    };
    encode_preferences(records, &sample_tokenizers::byte_level(), None, &options)
}

#[test]
fn the_better_answer_comes_first_and_only_answers_count() {
    let mut pair = record(
        Content::completion("2+2=", "four"),
        "rejected_completion",
        "fivefold",
    );
    pair.weight = 3.0;
    let pairs = preferences(&[pair]).unwrap();
    assert_eq!(counted(&pairs.rows[0]), ["four", "fivefold"]);
    let total: f32 = pairs.rows[0].weights().iter().sum();
    assert!((total - 3.0).abs() < 1e-5, "{total}");
    assert_eq!((pairs.report.records, pairs.report.documents), (2, 2));
}

#[test]
fn a_record_without_a_second_answer_is_counted() {
    let records = [
        record(Content::completion("a", "b"), "rejected_completion", "c"),
        Content::completion("a", "b").into(),
    ];
    let pairs = preferences(&records).unwrap();
    assert_eq!(pairs.rows.len(), 1);
    assert_eq!(pairs.report.rejected[&Rejection::NoCounterpart], 2);
    assert_eq!(pairs.report.records, 4);
    let error = preferences(&records[1..]).unwrap_err().to_string();
    assert!(
        error.contains("the record has no text under meta.rejected_completion"),
        "{error}"
    );
}

#[test]
fn the_last_answer_of_a_conversation_is_the_one_that_differs() {
    let messages = vec![Message::user("hi"), Message::assistant("ho")];
    let Content::Messages(other) = with_completion(&Content::Messages(messages), "hey") else {
        panic!("it stays a conversation")
    };
    let contents: Vec<_> = other.iter().map(|message| &message.content).collect();
    assert_eq!(contents, ["hi", "hey"]);
}

#[test]
fn answer_and_reasons_are_asked_for_in_two_ways() {
    let record = record(Content::completion("2+2=", "4"), "rationale", "two twos");
    let tokenizer = sample_tokenizers::byte_level();
    let (prefixes, options) = (TaskPrefixes::default(), EncodeOptions::default());
    let encoded = encode_rationales(&[record], &prefixes, &tokenizer, None, &options).unwrap();
    let row = &encoded.rows[0];
    assert_eq!(counted(row), ["4", "two twos"]);
    let asked = tokenizer.decode(row.tokens(), true).unwrap();
    assert!(asked.starts_with("[label] 2+2=4"), "{asked}");
    assert!(asked.contains("[rationale] 2+2=two"), "{asked}");
}
