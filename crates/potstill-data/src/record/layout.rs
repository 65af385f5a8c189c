//! Whose keys a record has.

mod turns;

use potstill_core::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Content;
use super::problem::{RecordProblem, wrong_type};

/// Whose keys a record has.
///
/// Data sets say the same in different words. Whatever the layout, `id`, `weight` and `meta` mean
/// what they mean in a [`Record`](crate::Record), and a key that the layout does not know is kept in
/// `meta`.
///
/// | layout | keys |
/// |---|---|
/// | messages | `messages`: turns with `role` and `content` |
/// | ShareGPT | `conversations`: turns with `from` and `value`; `system` |
/// | completion | `prompt`, `completion` |
/// | Alpaca | `instruction`, `input`, `output`; `system`, and `history`, pairs of earlier turns |
/// | UltraChat | `data`: texts of user and assistant in turn |
/// | text | `text` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The first of the table that fits, for each record by itself.
    #[default]
    Detect,
    /// A conversation.
    Messages,
    /// A conversation between "human" and "gpt".
    ShareGpt,
    /// A prompt and how it goes on.
    Completion,
    /// An instruction, an input that may be empty, and an output. It becomes a conversation.
    Alpaca,
    /// A conversation without names. The user begins.
    UltraChat,
    /// Plain text.
    Text,
}

/// In the order in which they are tried. Alpaca is before text, since its own data set has both.
const LAYOUTS: [Layout; 6] = [
    Layout::Messages,
    Layout::ShareGpt,
    Layout::Completion,
    Layout::Alpaca,
    Layout::UltraChat,
    Layout::Text,
];

impl Layout {
    /// Keys that a record must have, and not as null.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Detect => &[],
            Self::Messages => &["messages"],
            Self::ShareGpt => &["conversations"],
            Self::Completion => &["prompt", "completion"],
            Self::Alpaca => &["instruction", "output"],
            Self::UltraChat => &["data"],
            Self::Text => &["text"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Detect => "any",
            Self::Messages => "messages",
            Self::ShareGpt => "ShareGPT",
            Self::Completion => "completion",
            Self::Alpaca => "Alpaca",
            Self::UltraChat => "UltraChat",
            Self::Text => "text",
        }
    }

    fn fits(self, keys: &Map<String, Value>) -> bool {
        let has = |key: &&str| keys.get(*key).is_some_and(|value| !value.is_null());
        // "data" is a word that other data sets use for other things.
        let talks = self != Self::UltraChat || keys.get("data").is_some_and(Value::is_array);
        talks && self.keys().iter().all(has)
    }
}

/// Takes what the record says out of its keys.
pub(super) fn take_content(
    keys: &mut Map<String, Value>,
    layout: Layout,
    meta: &mut Map<String, Value>,
) -> Result<Content, RecordProblem> {
    let names = |keys: &Map<String, Value>| keys.keys().cloned().collect();
    let found = match layout {
        Layout::Detect => LAYOUTS
            .into_iter()
            .find(|layout| layout.fits(keys))
            .ok_or_else(|| incomplete(keys))?,
        named => {
            let lacking = named.keys().iter().find(|key| !keys.contains_key(**key));
            if let Some(lacks) = lacking {
                return Err(RecordProblem::Layout {
                    layout: named.name(),
                    lacks,
                    keys: names(keys),
                });
            }
            named
        }
    };
    let content = match found {
        Layout::Detect => return Err(incomplete(keys)),
        Layout::Messages => Content::Messages(turns::messages(keys, meta)?),
        Layout::ShareGpt => {
            let turns = turns::conversations(keys, meta)?;
            Content::Messages(after_system(keys, turns)?)
        }
        Layout::Completion => Content::Completion {
            prompt: take_string(keys, "prompt")?,
            completion: take_string(keys, "completion")?,
        },
        Layout::Alpaca => Content::Messages(alpaca(keys)?),
        Layout::UltraChat => Content::Messages(turns::alternating(keys)?),
        Layout::Text => Content::Text(take_string(keys, "text")?),
    };
    // A table has the columns of all layouts, and nothing in those of the others.
    for key in LAYOUTS.iter().flat_map(|layout| layout.keys()) {
        if keys.get(*key).is_some_and(Value::is_null) {
            keys.shift_remove(*key);
        }
    }
    Ok(content)
}

/// Why no layout fits: a value of another type, or no key at all.
fn incomplete(keys: &Map<String, Value>) -> RecordProblem {
    let has = |key: &&str| keys.contains_key(*key);
    let nearly = LAYOUTS
        .into_iter()
        .find(|layout| layout.keys().iter().all(has));
    let null = nearly
        .and_then(|layout| layout.keys().iter().find(|key| keys[**key].is_null()))
        .map(|key| wrong_type(*key, "a text or an array of turns", &Value::Null));
    null.unwrap_or_else(|| RecordProblem::NoContent {
        keys: keys.keys().cloned().collect(),
    })
}

fn alpaca(keys: &mut Map<String, Value>) -> Result<Vec<Message>, RecordProblem> {
    let instruction = take_string(keys, "instruction")?;
    let input = take_optional(keys, "input")?.filter(|input| !input.trim().is_empty());
    let output = take_string(keys, "output")?;
    let mut turns = turns::history(keys)?;
    turns.push(Message::user(match input {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction,
    }));
    turns.push(Message::assistant(output));
    after_system(keys, turns)
}

fn after_system(
    keys: &mut Map<String, Value>,
    turns: Vec<Message>,
) -> Result<Vec<Message>, RecordProblem> {
    let system = take_optional(keys, "system")?.filter(|system| !system.trim().is_empty());
    Ok(system
        .map(Message::system)
        .into_iter()
        .chain(turns)
        .collect())
}

fn take_string(keys: &mut Map<String, Value>, key: &str) -> Result<String, RecordProblem> {
    match keys.shift_remove(key) {
        Some(Value::String(text)) => Ok(text),
        other => Err(wrong_type(key, "a string", &other.unwrap_or_default())),
    }
}

fn take_optional(
    keys: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<String>, RecordProblem> {
    match keys.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(key, "a string", &other)),
    }
}

#[cfg(test)]
mod tests;
