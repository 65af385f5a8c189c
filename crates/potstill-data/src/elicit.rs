//! Training data from models that can only be prompted.
//!
//! Every method is a [`Stage`](crate::Stage) of a [`Pipeline`](crate::Pipeline) that asks a
//! [`ChatModel`](potstill_core::ChatModel) through an [`Elicitor`]. Prompts are templates that a user
//! can replace. Answers are read strictly: what cannot be read, was cut off or is empty is rejected
//! with its reason and never guessed; where an [`AnswerSchema`] is given, so is what does not follow
//! it. Every record that a model made carries its
//! [`Provenance`](crate::Provenance).
//!
//! - [`LabelRecords`] asks for one of a few labels.
//! - [`PracticeQuestions`] has a model write its own questions about a text.
//! - [`ExpandSeeds`] makes more tasks like given ones (self-instruct), [`EvolvePrompts`] harder or
//!   other ones, without those that came to nothing.
//! - [`AnswerPrompts`] answers, alone or by majority; [`Rationales`] answers with reasons;
//!   [`ExplanationTraces`] answers in the manner of a system prompt.
//! - [`CritiqueAndRevise`] improves an answer; [`PreferencePairs`] finds the better of two.

mod answer;
mod elicitor;
mod evolve;
mod expand;
mod explanation;
mod label;
mod practice;
mod preference;
mod rationale;
mod revise;
mod schema;

use serde_json::{Value, json};

use crate::{Answer, Content, Record};

pub use answer::{AnswerPrompts, Vote};
pub use elicitor::{Asked, Elicitor, Unanswered};
pub use evolve::{Evolution, EvolvePrompts};
pub use expand::ExpandSeeds;
pub use explanation::ExplanationTraces;
pub use label::LabelRecords;
pub use practice::PracticeQuestions;
pub use preference::{PreferBy, PreferencePairs};
pub use rationale::Rationales;
pub use revise::CritiqueAndRevise;
pub use schema::{AnswerSchema, SchemaMismatch};

/// What a record asks: its prompt, all but the last answer of a conversation, or its text.
fn question_of(record: &Record) -> String {
    match &record.content {
        Content::Completion { prompt, .. } => prompt.clone(),
        Content::Text(text) => text.clone(),
        Content::Messages(messages) => {
            let asked = messages
                .iter()
                .rev()
                .find(|message| message.role == potstill_core::Role::User);
            asked
                .map(|message| message.content.clone())
                .unwrap_or_default()
        }
    }
}

/// The right answer that a record knows under `meta.answer`: a form of [`Answer`], a number or a text.
fn known_answer(record: &Record) -> Option<Answer> {
    match record.meta.get("answer")? {
        Value::Number(value) => Some(Answer::Number {
            value: value.as_f64()?,
            tolerance: 0.0,
        }),
        Value::String(text) => Some(match text.parse() {
            Ok(value) => Answer::Number {
                value,
                tolerance: 0.0,
            },
            Err(_) => Answer::Text {
                accepted: vec![text.clone()],
            },
        }),
        form => serde_json::from_value(form.clone()).ok(),
    }
}

/// Id of a record, or the hash of its content.
fn name_of(record: &Record) -> String {
    record.id.clone().unwrap_or_else(|| {
        record
            .content_hash()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    })
}

/// Values for a template about a question: the question, and all that is known about the record.
fn question_value(record: &Record) -> Value {
    json!({"question": question_of(record), "meta": record.meta})
}

#[cfg(test)]
mod tests;
