//! One training example: a conversation, a prompt with its completion, or plain text.

mod json;
mod layout;
mod problem;

use std::borrow::Cow;

use potstill_core::Message;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use layout::Layout;
pub use problem::RecordProblem;

/// One training example.
///
/// In JSON it is one of `{"messages": [...]}`, `{"prompt": ..., "completion": ...}` and
/// `{"text": ...}`, each with an optional `id`, `weight` and `meta`. Other people's layouts are read
/// too: see [`Layout`]. Other keys are kept in `meta`, and other keys of a message in
/// `meta.message_keys` under the index of the message; nothing is dropped.
///
/// # Examples
///
/// ```
/// use potstill_data::{Content, Record};
///
/// let record = Record::from_json(r#"{"prompt": "2 + 2 =", "completion": " 4", "topic": "sums"}"#)?;
/// assert_eq!(record.content, Content::completion("2 + 2 =", " 4"));
/// assert_eq!(record.meta["topic"], "sums");
/// # Ok::<(), potstill_data::RecordProblem>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What is said.
    pub content: Content,
    /// A name for the record.
    pub id: Option<String>,
    /// How much each of its tokens counts; finite and not negative.
    pub weight: f32,
    /// Anything else.
    pub meta: Map<String, Value>,
}

/// What a [`Record`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A conversation.
    Messages(Vec<Message>),
    /// A text and how it goes on.
    Completion {
        /// What is given.
        prompt: String,
        /// What is to be learned.
        completion: String,
    },
    /// Plain text.
    Text(String),
}

impl Content {
    /// A text and how it goes on.
    #[must_use]
    pub fn completion(prompt: impl Into<String>, completion: impl Into<String>) -> Self {
        Self::Completion {
            prompt: prompt.into(),
            completion: completion.into(),
        }
    }
}

impl From<Content> for Record {
    fn from(content: Content) -> Self {
        Self {
            content,
            id: None,
            weight: 1.0,
            meta: Map::new(),
        }
    }
}

impl Record {
    /// All that is said, parts on lines of their own.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Messages(messages) => {
                let turns: Vec<&str> = messages
                    .iter()
                    .map(|message| message.content.as_str())
                    .collect();
                turns.join("\n").into()
            }
            Content::Completion { prompt, completion } => format!("{prompt}\n{completion}").into(),
            Content::Text(text) => text.into(),
        }
    }

    /// Bytes of all that is said.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match &self.content {
            Content::Messages(messages) => {
                messages.iter().map(|message| message.content.len()).sum()
            }
            Content::Completion { prompt, completion } => prompt.len() + completion.len(),
            Content::Text(text) => text.len(),
        }
    }

    /// About how many bytes the record takes in memory and on disk, `meta` included.
    pub(crate) fn bytes(&self) -> usize {
        let meta = self.meta.iter();
        self.text_bytes()
            + meta
                .map(|(key, value)| key.len() + value_bytes(value))
                .sum::<usize>()
    }

    /// SHA-256 of what the record says; its id, weight and meta do not matter.
    #[must_use]
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut put = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        match &self.content {
            Content::Messages(messages) => {
                put("messages");
                for message in messages {
                    put(message.role.as_str());
                    put(&message.content);
                }
            }
            Content::Completion { prompt, completion } => {
                put("completion");
                put(prompt);
                put(completion);
            }
            Content::Text(text) => {
                put("text");
                put(text);
            }
        }
        hasher.finalize().into()
    }
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        Value::Object(keys) => keys
            .iter()
            .map(|(key, value)| key.len() + value_bytes(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

#[cfg(test)]
mod tests;
