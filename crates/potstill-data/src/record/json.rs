//! Records as JSON objects.

use std::fmt;

use potstill_core::{Message, Role};
use serde_json::{Map, Value, json};

use super::{Content, Record};

/// Key under `meta` where [`Record::from_json`] keeps what a message has besides role and content.
const MESSAGE_KEYS: &str = "message_keys";

impl Record {
    /// Reads a record from a JSON object.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or the object is not a record.
    pub fn from_json(text: &str) -> Result<Self, RecordProblem> {
        let value: Value = serde_json::from_str(text)?;
        let found = kind(&value);
        let Value::Object(mut keys) = value else {
            return Err(RecordProblem::Type {
                key: "the record".into(),
                expected: "an object",
                found,
            });
        };
        let mut meta = match keys.shift_remove("meta") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(meta)) => meta,
            Some(other) => return Err(wrong_type("meta", "an object", &other)),
        };
        let id = match keys.shift_remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(other) => return Err(wrong_type("id", "a string", &other)),
        };
        let weight = match keys.shift_remove("weight") {
            None | Some(Value::Null) => 1.0,
            Some(value) => weight(&value)?,
        };
        let content = if let Some(messages) = keys.shift_remove("messages") {
            Content::Messages(parse_messages(&messages, &mut meta)?)
        } else if keys.contains_key("prompt") && keys.contains_key("completion") {
            Content::Completion {
                prompt: take_string(&mut keys, "prompt")?,
                completion: take_string(&mut keys, "completion")?,
            }
        } else if keys.contains_key("text") {
            Content::Text(take_string(&mut keys, "text")?)
        } else {
            return Err(RecordProblem::NoContent {
                keys: keys.keys().cloned().collect(),
            });
        };
        for (key, value) in keys {
            if meta.contains_key(&key) {
                return Err(RecordProblem::Ambiguous { key });
            }
            meta.insert(key, value);
        }
        Ok(Self {
            content,
            id,
            weight,
            meta,
        })
    }

    /// The record as a JSON object on one line.
    ///
    /// [`from_json`](Self::from_json) reads it back unchanged.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut keys = Map::new();
        if let Some(id) = &self.id {
            keys.insert("id".into(), json!(id));
        }
        match &self.content {
            Content::Messages(messages) => {
                let messages = messages
                    .iter()
                    .map(|turn| json!({"role": turn.role.as_str(), "content": turn.content}))
                    .collect();
                keys.insert("messages".into(), Value::Array(messages));
            }
            Content::Completion { prompt, completion } => {
                keys.insert("prompt".into(), json!(prompt));
                keys.insert("completion".into(), json!(completion));
            }
            Content::Text(text) => {
                keys.insert("text".into(), json!(text));
            }
        }
        if self.weight != 1.0 {
            keys.insert("weight".into(), json!(self.weight));
        }
        if !self.meta.is_empty() {
            keys.insert("meta".into(), Value::Object(self.meta.clone()));
        }
        Value::Object(keys).to_string()
    }
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// The text is not JSON.
    #[error("the record is not JSON: {}", without_line(.0))]
    NotJson(#[from] serde_json::Error),
    /// None of the three shapes.
    #[error(
        "the record needs \"messages\", \"prompt\" and \"completion\", or \"text\"; it has {}",
        List(keys)
    )]
    NoContent {
        /// The keys it has.
        keys: Vec<String>,
    },
    /// A key of another type.
    #[error("{key} must be {expected}, not {found}")]
    Type {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A conversation without a turn.
    #[error("\"messages\" is empty")]
    NoMessages,
    /// A weight that is no weight.
    #[error("the weight is {weight}, it must be finite and not negative")]
    Weight {
        /// Its value.
        weight: f64,
    },
    /// A key that is given twice.
    #[error("{key:?} stands in the record and in its \"meta\"")]
    Ambiguous {
        /// The key.
        key: String,
    },
}

/// A record is one line, so that "line 1" would only contradict the line of the file.
fn without_line(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no other key"),
            keys => write!(f, "{keys:?}"),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn wrong_type(key: impl Into<String>, expected: &'static str, found: &Value) -> RecordProblem {
    RecordProblem::Type {
        key: key.into(),
        expected,
        found: kind(found),
    }
}

fn weight(value: &Value) -> Result<f32, RecordProblem> {
    let weight = value
        .as_f64()
        .ok_or_else(|| wrong_type("weight", "a number", value))?;
    let narrow = weight as f32;
    if narrow.is_finite() && narrow >= 0.0 {
        Ok(narrow)
    } else {
        Err(RecordProblem::Weight { weight })
    }
}

fn take_string(keys: &mut Map<String, Value>, key: &str) -> Result<String, RecordProblem> {
    match keys.shift_remove(key) {
        Some(Value::String(text)) => Ok(text),
        other => Err(wrong_type(key, "a string", &other.unwrap_or_default())),
    }
}

fn parse_messages(
    value: &Value,
    meta: &mut Map<String, Value>,
) -> Result<Vec<Message>, RecordProblem> {
    let turns = value
        .as_array()
        .ok_or_else(|| wrong_type("messages", "an array", value))?;
    if turns.is_empty() {
        return Err(RecordProblem::NoMessages);
    }
    let mut others = Map::new();
    let mut messages = Vec::with_capacity(turns.len());
    for (index, turn) in turns.iter().enumerate() {
        let name = |key: &str| format!("messages[{index}]{key}");
        let keys = turn
            .as_object()
            .ok_or_else(|| wrong_type(name(""), "an object", turn))?;
        let role = keys.get("role").unwrap_or(&Value::Null);
        let role = role
            .as_str()
            .ok_or_else(|| wrong_type(name(".role"), "a string", role))?;
        let content = keys.get("content").unwrap_or(&Value::Null);
        let content = content_text(content).ok_or_else(|| {
            wrong_type(name(".content"), "a string or an array of texts", content)
        })?;
        messages.push(Message::new(Role::from(role.to_owned()), content));
        let rest: Map<String, Value> = keys
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "role" | "content"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !rest.is_empty() {
            others.insert(index.to_string(), Value::Object(rest));
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

/// A string, or the array of `{"type": "text", "text": ...}` parts that some APIs write.
fn content_text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                let text = part.get("text")?.as_str()?;
                (part.get("type").and_then(Value::as_str) == Some("text")).then_some(text)
            })
            .collect(),
        _ => None,
    }
}
