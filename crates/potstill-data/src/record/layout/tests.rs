//! Layouts of other people's data sets.

use potstill_core::{Message, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Record;

fn read(value: Value, layout: Layout) -> Result<Record, RecordProblem> {
    Record::from_json_as(&value.to_string(), layout)
}

#[track_caller]
fn turns(value: Value) -> Vec<Message> {
    match read(value, Layout::Detect).unwrap().content {
        Content::Messages(turns) => turns,
        other => panic!("{other:?} is no conversation"),
    }
}

#[track_caller]
fn problem(value: Value, layout: Layout) -> String {
    read(value, layout).unwrap_err().to_string()
}

#[test]
fn sharegpt_is_a_conversation() {
    let read = turns(json!({
        "id": "x_0",
        "system": "Be brief.",
        "conversations": [
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello"},
            {"from": "observation", "value": "21 °C"},
        ],
    }));
    let expected = [
        Message::system("Be brief."),
        Message::user("Hi"),
        Message::assistant("Hello"),
        Message::new(Role::Tool, "21 °C"),
    ];
    assert_eq!(read, expected);
}

#[test]
fn what_a_sharegpt_turn_says_beside_its_text_is_kept() {
    let record = read(
        json!({"conversations": [
            {"from": "human", "value": "Hi", "markdown": null},
            {"from": "function_call", "value": "{}"},
        ], "source": "web"}),
        Layout::ShareGpt,
    )
    .unwrap();
    assert_eq!(
        Value::Object(record.meta),
        json!({
            "message_keys": {"0": {"markdown": null}, "1": {"from": "function_call"}},
            "source": "web",
        })
    );
}

#[test]
fn an_unknown_speaker_is_named() {
    let message = problem(
        json!({"conversations": [{"from": "narrator", "value": "Once"}]}),
        Layout::Detect,
    );
    assert!(
        message.starts_with(r#"conversations[0] is said by "narrator"; the speakers of ShareGPT are ["human", "gpt""#),
        "{message}"
    );
}

#[test]
fn alpaca_is_a_conversation_although_it_has_a_text() {
    let read = turns(json!({
        "instruction": "Add.", "input": "2 and 2", "output": "4", "history": [["Hi", "Hello"]],
        "text": "Below is an instruction",
    }));
    let expected = [
        Message::user("Hi"),
        Message::assistant("Hello"),
        Message::user("Add.\n\n2 and 2"),
        Message::assistant("4"),
    ];
    assert_eq!(read, expected);
    let without_input = turns(json!({"instruction": "Add.", "input": "", "output": "4"}));
    assert_eq!(without_input[0], Message::user("Add."));
}

#[test]
fn ultrachat_alternates_from_the_user() {
    let read = turns(json!({"id": 5, "data": ["Hi", "Hello", "Bye"]}));
    assert_eq!(
        read,
        [
            Message::user("Hi"),
            Message::assistant("Hello"),
            Message::user("Bye")
        ]
    );
    assert_eq!(
        problem(json!({"data": []}), Layout::Detect),
        r#""data" is empty"#
    );
    assert_eq!(
        problem(json!({"data": ["Hi", 2]}), Layout::Detect),
        "data[1] must be a string, not a number"
    );
}

#[test]
fn data_that_is_no_conversation_does_not_hide_the_text() {
    let record = read(json!({"data": {"a": 1}, "text": "t"}), Layout::Detect).unwrap();
    assert_eq!(record.content, Content::Text("t".into()));
    assert_eq!(record.meta["data"], json!({"a": 1}));
}

#[test]
fn empty_columns_of_other_layouts_leave_no_trace() {
    let record = read(
        json!({"messages": null, "prompt": null, "completion": null, "text": "t", "topic": null}),
        Layout::Detect,
    )
    .unwrap();
    assert_eq!(record.content, Content::Text("t".into()));
    assert_eq!(Value::Object(record.meta), json!({"topic": null}));
}

#[test]
fn a_named_layout_wins_over_others_and_is_missed_by_name() {
    let both = json!({"messages": [{"role": "user", "content": "Hi"}], "text": "t"});
    let record = read(both.clone(), Layout::Text).unwrap();
    assert_eq!(record.content, Content::Text("t".into()));
    assert_eq!(record.meta["messages"], both["messages"]);
    assert_eq!(
        problem(both, Layout::Alpaca),
        r#"the record is not in the layout Alpaca: it lacks "instruction" and has ["messages", "text"]"#
    );
}

#[test]
fn a_layout_without_its_content_is_told_apart_from_none() {
    assert_eq!(
        problem(json!({"text": null}), Layout::Detect),
        "text must be a text or an array of turns, not null"
    );
    assert_eq!(
        problem(json!({"text": null}), Layout::Text),
        "text must be a string, not null"
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
        prop::sample::select(vec!["human", "gpt", "user"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop::sample::select(vec![
            "messages",
            "conversations",
            "prompt",
            "completion",
            "instruction",
            "input",
            "output",
            "data",
            "text",
            "system",
            "history",
            "from",
            "value",
            "role",
            "content",
            "meta",
            "id",
            "weight",
            "other",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..6).prop_map(|pairs| {
                Value::Object(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_is_read_again(value in any_value()) {
        if let Ok(record) = read(value, Layout::Detect) {
            prop_assert_eq!(Record::from_json(&record.to_json()).unwrap(), record);
        }
    }
}
