//! Records in JSON.

use potstill_core::Role;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn problem(text: &str) -> String {
    Record::from_json(text).unwrap_err().to_string()
}

#[test]
fn each_of_the_three_shapes_is_read() {
    let record = Record::from_json(r#"{"text": "a", "id": 7, "weight": 0.5}"#).unwrap();
    assert_eq!(record.content, Content::Text("a".into()));
    assert_eq!((record.id.as_deref(), record.weight), (Some("7"), 0.5));

    let record = Record::from_json(r#"{"prompt": "a", "completion": "b"}"#).unwrap();
    assert_eq!(record.content, Content::completion("a", "b"));

    let record = Record::from_json(
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "critic", "content": ""}]}"#,
    )
    .unwrap();
    let expected = vec![
        Message::user("hi"),
        Message::new(Role::Other("critic".into()), ""),
    ];
    assert_eq!(record.content, Content::Messages(expected));
}

#[test]
fn other_keys_are_kept_in_meta() {
    let record = Record::from_json(
        r#"{"prompt": "p", "messages": [{"role": "user", "content": "hi", "name": "Ada"}],
            "meta": {"b": 1}, "a": [2]}"#,
    )
    .unwrap();
    let meta = Value::Object(record.meta);
    assert_eq!(
        meta,
        json!({"b": 1, "message_keys": {"0": {"name": "Ada"}}, "prompt": "p", "a": [2]})
    );
}

#[test]
fn a_key_in_the_record_and_in_its_meta_is_refused() {
    let message = problem(r#"{"text": "a", "x": 1, "meta": {"x": 2}}"#);
    assert_eq!(message, r#""x" stands in the record and in its "meta""#);
}

#[test]
fn a_problem_names_the_key_and_what_is_right() {
    assert_eq!(problem("[1]"), "the record must be an object, not an array");
    assert_eq!(
        problem(r#"{"text": 1}"#),
        "text must be a string, not a number"
    );
    assert_eq!(problem(r#"{"messages": []}"#), r#""messages" is empty"#);
    assert_eq!(
        problem(r#"{"messages": [{"role": "user"}]}"#),
        "messages[0].content must be a string or an array of texts, not null"
    );
    assert_eq!(
        problem(r#"{"prompt": "a"}"#),
        r#"the record needs "messages", "prompt" and "completion", or "text" (or the keys of ShareGPT, Alpaca or UltraChat); it has ["prompt"]"#
    );
    assert_eq!(
        problem(r#"{"text": "a", "weight": -1}"#),
        "the weight is -1, it must be finite and not negative"
    );
    assert!(problem("{").starts_with("the record is not JSON: "));
}

#[test]
fn the_content_hash_sees_the_words_and_nothing_else() {
    let plain = Record::from(Content::Text("a".into()));
    let named = Record {
        id: Some("x".into()),
        weight: 0.5,
        ..plain.clone()
    };
    assert_eq!(plain.content_hash(), named.content_hash());
    let ab = Record::from(Content::completion("ab", "c")).content_hash();
    assert_ne!(
        ab,
        Record::from(Content::completion("a", "bc")).content_hash()
    );
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<String>().prop_map(Content::Text),
        any::<(String, String)>().prop_map(|(p, c)| Content::completion(p, c)),
        prop::collection::vec(any::<(String, String)>(), 1..4).prop_map(|turns| {
            let turn = |(role, content): (String, String)| Message::new(role.into(), content);
            Content::Messages(turns.into_iter().map(turn).collect())
        }),
    ]
}

proptest! {
    #[test]
    fn a_record_survives_a_round_trip(
        content in content(),
        id in any::<Option<String>>(),
        weight in 0.0f32..1e6,
        meta in prop::collection::btree_map(any::<String>(), any::<i64>(), 0..3),
    ) {
        let meta = meta.into_iter().map(|(key, value)| (key, json!(value))).collect();
        let record = Record { content, id, weight, meta };
        let line = record.to_json();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Record::from_json(&line).unwrap(), record);
    }

    #[test]
    fn any_text_is_a_record_or_an_error(text in any::<String>()) {
        let _ = Record::from_json(&text);
    }
}
