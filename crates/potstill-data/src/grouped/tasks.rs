//! Two tasks of one question: its answer, and the reasons for it (distilling step-by-step,
//! arXiv:2305.02301).

use potstill_core::Role;
use serde::{Deserialize, Serialize};

use super::{GroupedRows, encode_groups, meta_text, with_completion};
use crate::{ChatTemplate, Content, EncodeOptions, Error, Record, TextTokenizer, encode_record};

/// What tells a student which of two tasks it is given; stands before the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskPrefixes {
    /// Asks for the answer.
    pub answer: String,
    /// Asks for the reasons.
    pub rationale: String,
}

impl Default for TaskPrefixes {
    fn default() -> Self {
        Self {
            answer: "[label] ".to_owned(),
            rationale: "[rationale] ".to_owned(),
        }
    }
}

/// Encodes each record as two documents of one row: its question with the answer, then the question
/// with the reasons under `meta.rationale`, as [`Rationales`](crate::Rationales) leaves them, each behind its
/// prefix.
///
/// What each task counts is decided when batches are made of the rows; here each token has the
/// record's weight.
///
/// # Errors
///
/// As [`encode_records`](crate::encode_records).
pub fn encode_rationales(
    records: &[Record],
    prefixes: &TaskPrefixes,
    tokenizer: &TextTokenizer,
    template: Option<&ChatTemplate>,
    options: &EncodeOptions,
) -> Result<GroupedRows, Error> {
    encode_groups(records, |record| {
        let rationale = with_completion(&record.content, meta_text(record, "rationale")?);
        let tasks = [
            (&prefixes.answer, record.content.clone()),
            (&prefixes.rationale, rationale),
        ];
        let encode = |(prefix, content): (&String, Content)| {
            let record = Record {
                content: behind(prefix, content),
                ..record.clone()
            };
            encode_record(&record, tokenizer, template, options)
        };
        tasks.into_iter().map(encode).collect()
    })
}

/// The same with `prefix` before the question.
fn behind(prefix: &str, content: Content) -> Content {
    match content {
        Content::Completion { prompt, completion } => {
            Content::completion(format!("{prefix}{prompt}"), completion)
        }
        Content::Text(text) => Content::completion(prefix, text),
        Content::Messages(mut messages) => {
            let asked = messages.iter_mut().rev();
            if let Some(question) = { asked }.find(|message| message.role == Role::User) {
                question.content.insert_str(0, prefix);
            }
            Content::Messages(messages)
        }
    }
}
