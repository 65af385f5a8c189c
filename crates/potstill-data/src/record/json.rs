//! Records as JSON objects.

use serde_json::{Map, Value, json};

use super::layout::{Layout, take_content};
use super::problem::{RecordProblem, kind, wrong_type};
use super::{Content, Record};

impl Record {
    /// Reads a record from a JSON object, in whatever [`Layout`] it is.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or the object is not a record.
    pub fn from_json(text: &str) -> Result<Self, RecordProblem> {
        Self::from_json_as(text, Layout::Detect)
    }

    /// Reads a record from a JSON object in this layout.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or the object is not a record in this layout.
    pub fn from_json_as(text: &str, layout: Layout) -> Result<Self, RecordProblem> {
        match serde_json::from_str(text)? {
            Value::Object(keys) => Self::from_keys(keys, layout),
            other => Err(RecordProblem::Type {
                key: "the record".into(),
                expected: "an object",
                found: kind(&other),
            }),
        }
    }

    /// Reads a record from the keys of an object.
    pub(crate) fn from_keys(
        mut keys: Map<String, Value>,
        layout: Layout,
    ) -> Result<Self, RecordProblem> {
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
        let content = take_content(&mut keys, layout, &mut meta)?;
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
