//! The turns of a conversation.

use potstill_core::{Message, Role};
use serde_json::{Map, Value};

use crate::record::problem::{RecordProblem, wrong_type};

/// Key under `meta` for what a turn has besides who speaks and what is said.
const MESSAGE_KEYS: &str = "message_keys";

/// The speakers of ShareGPT. What the first three are called is not worth remembering; the others
/// say more than their role does, so their name is kept.
const SPEAKERS: [(&str, Role); 11] = [
    ("human", Role::User),
    ("gpt", Role::Assistant),
    ("system", Role::System),
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("chatgpt", Role::Assistant),
    ("model", Role::Assistant),
    ("function_call", Role::Assistant),
    ("observation", Role::Tool),
    ("function_response", Role::Tool),
    ("tool", Role::Tool),
];
const PLAIN_SPEAKERS: usize = 3;

/// `messages`, with `role` and `content`.
pub(super) fn messages(
    keys: &mut Map<String, Value>,
    meta: &mut Map<String, Value>,
) -> Result<Vec<Message>, RecordProblem> {
    read(keys, "messages", meta, |turn, name| {
        let role = take_string(turn, name, "role")?;
        Ok(Message::new(
            Role::from(role),
            take_text(turn, name, "content")?,
        ))
    })
}

/// `conversations`, with `from` and `value`; some data sets write `role` and `content` all the same.
pub(super) fn conversations(
    keys: &mut Map<String, Value>,
    meta: &mut Map<String, Value>,
) -> Result<Vec<Message>, RecordProblem> {
    read(keys, "conversations", meta, |turn, name| {
        if turn.contains_key("role") && !turn.contains_key("from") {
            let role = take_string(turn, name, "role")?;
            return Ok(Message::new(
                Role::from(role),
                take_text(turn, name, "content")?,
            ));
        }
        let speaker = take_string(turn, name, "from")?;
        let place = SPEAKERS
            .iter()
            .position(|(known, _)| speaker.eq_ignore_ascii_case(known))
            .ok_or_else(|| RecordProblem::Speaker {
                turn: name.to_owned(),
                speaker: speaker.clone(),
                known: SPEAKERS.map(|(known, _)| known.to_owned()).into(),
            })?;
        let text = take_text(turn, name, "value")?;
        if place >= PLAIN_SPEAKERS {
            turn.insert("from".into(), Value::String(speaker));
        }
        Ok(Message::new(SPEAKERS[place].1.clone(), text))
    })
}

/// `data`, texts of user and assistant in turn.
pub(super) fn alternating(keys: &mut Map<String, Value>) -> Result<Vec<Message>, RecordProblem> {
    let texts = take_turns(keys, "data")?;
    let message = |(index, text): (usize, Value)| match text {
        Value::String(text) if index % 2 == 0 => Ok(Message::user(text)),
        Value::String(text) => Ok(Message::assistant(text)),
        other => Err(wrong_type(format!("data[{index}]"), "a string", &other)),
    };
    texts.into_iter().enumerate().map(message).collect()
}

/// `history`, pairs of what the user and the assistant said before.
pub(super) fn history(keys: &mut Map<String, Value>) -> Result<Vec<Message>, RecordProblem> {
    let pairs = match keys.shift_remove("history") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(pairs)) => pairs,
        Some(other) => return Err(wrong_type("history", "an array", &other)),
    };
    let mut turns = Vec::with_capacity(2 * pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let texts: Vec<&str> = pair
            .as_array()
            .map(|pair| pair.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let [user, assistant] = texts[..] else {
            let name = format!("history[{index}]");
            return Err(wrong_type(name, "an array of two texts", pair));
        };
        turns.extend([Message::user(user), Message::assistant(assistant)]);
    }
    Ok(turns)
}

/// Reads each turn, and keeps in `meta` what is left of it.
fn read(
    keys: &mut Map<String, Value>,
    key: &'static str,
    meta: &mut Map<String, Value>,
    message: impl Fn(&mut Map<String, Value>, &str) -> Result<Message, RecordProblem>,
) -> Result<Vec<Message>, RecordProblem> {
    let mut others = Map::new();
    let mut messages = Vec::new();
    for (index, turn) in take_turns(keys, key)?.into_iter().enumerate() {
        let name = format!("{key}[{index}]");
        let mut turn = match turn {
            Value::Object(turn) => turn,
            other => return Err(wrong_type(name, "an object", &other)),
        };
        messages.push(message(&mut turn, &name)?);
        if !turn.is_empty() {
            others.insert(index.to_string(), Value::Object(turn));
        }
    }
    if !others.is_empty() {
        if meta.contains_key(MESSAGE_KEYS) {
            return Err(RecordProblem::Ambiguous {
                key: MESSAGE_KEYS.into(),
            });
        }
        meta.insert(MESSAGE_KEYS.into(), Value::Object(others));
    }
    Ok(messages)
}

fn take_turns(
    keys: &mut Map<String, Value>,
    key: &'static str,
) -> Result<Vec<Value>, RecordProblem> {
    match keys.shift_remove(key) {
        Some(Value::Array(turns)) if turns.is_empty() => Err(RecordProblem::NoTurns { key }),
        Some(Value::Array(turns)) => Ok(turns),
        other => Err(wrong_type(key, "an array", &other.unwrap_or_default())),
    }
}

fn take_string(
    turn: &mut Map<String, Value>,
    name: &str,
    key: &str,
) -> Result<String, RecordProblem> {
    match turn.shift_remove(key) {
        Some(Value::String(text)) => Ok(text),
        other => Err(wrong_type(
            format!("{name}.{key}"),
            "a string",
            &other.unwrap_or_default(),
        )),
    }
}

/// A string, or the array of `{"type": "text", "text": ...}` parts that some APIs write.
fn take_text(
    turn: &mut Map<String, Value>,
    name: &str,
    key: &str,
) -> Result<String, RecordProblem> {
    let value = turn.shift_remove(key).unwrap_or_default();
    let text = match value {
        Value::String(text) => return Ok(text),
        Value::Array(ref parts) => parts
            .iter()
            .map(|part| {
                let text = part.get("text")?.as_str()?;
                (part.get("type").and_then(Value::as_str) == Some("text")).then_some(text)
            })
            .collect(),
        _ => None,
    };
    text.ok_or_else(|| {
        wrong_type(
            format!("{name}.{key}"),
            "a string or an array of texts",
            &value,
        )
    })
}
