//! Answers in the manner of a system prompt (explanation tuning as in Orca, arXiv:2306.02707).

use potstill_core::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Elicitor;
use crate::{Content, Outcome, PromptTemplate, Record, Stage, StageContext, StageError};

/// Ways of answering, in our own words.
const MANNERS: [&str; 8] = [
    "You are a patient assistant. Think through the task step by step, and give reasons for each step.",
    "You answer so that a child of ten understands it, with an example from everyday life.",
    "You are an expert. Say first which facts the answer rests on, then how it follows from them.",
    "You answer in full, and then sum the answer up in one sentence.",
    "You solve tasks by trying a simple case first and going on from there.",
    "You name what could go wrong in an answer, and how you have checked that it did not.",
    "You give the answer, and then explain why other answers that come to mind are wrong.",
    "You are brief: the answer, and the one reason that matters most.",
];

/// Has a model answer the prompt of each record in one of several manners, which a student learns to
/// follow: the record becomes a conversation of system prompt, question and answer.
///
/// The manner depends on the record and the seed.
#[derive(Clone, Debug)]
pub struct ExplanationTraces {
    elicitor: Elicitor,
    manners: Vec<String>,
}

impl ExplanationTraces {
    /// Answers in the built-in manners.
    #[must_use]
    pub fn new(elicitor: Elicitor) -> Self {
        Self {
            elicitor,
            manners: MANNERS.map(str::to_owned).into(),
        }
    }

    /// Other manners.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    #[must_use]
    pub fn with_manners<T: Into<String>>(mut self, manners: impl IntoIterator<Item = T>) -> Self {
        self.manners = manners.into_iter().map(Into::into).collect();
        assert!(
            !self.manners.is_empty(),
            "explanations need at least one manner"
        );
        self
    }

    fn manner(&self, record: &Record, seed: u64) -> &str {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update(record.content_hash());
        let digest: [u8; 32] = hasher.finalize().into();
        &self.manners[usize::from(digest[0]) % self.manners.len()]
    }
}

impl Stage for ExplanationTraces {
    fn name(&self) -> &'static str {
        "explanation-traces"
    }

    fn configuration(&self) -> Value {
        json!({"elicitor": self.elicitor.configuration(), "manners": self.manners})
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let manners: Vec<&str> = records
            .iter()
            .map(|record| self.manner(record, context.seed()))
            .collect();
        let conversations: Vec<(Vec<Message>, u64)> = records
            .iter()
            .zip(&manners)
            .map(|(record, manner)| {
                (
                    vec![
                        Message::system(*manner),
                        Message::user(super::question_of(record)),
                    ],
                    0,
                )
            })
            .collect();
        let template = PromptTemplate::new("explanation", &self.manners.join("\n"));
        let asked = self.elicitor.ask(&template, conversations.clone(), context);
        let made =
            |((mut record, (mut messages, _)), asked): ((Record, (Vec<Message>, u64)), _)| {
                match asked {
                    Err(unanswered) => super::Unanswered::outcome(unanswered, record),
                    Ok(super::Asked { reply, provenance }) => {
                        messages.push(Message::assistant(reply.text.trim()));
                        record.content = Content::Messages(messages);
                        record.add_provenance(&provenance);
                        Outcome::kept(record)
                    }
                }
            };
        Ok(records
            .into_iter()
            .zip(conversations)
            .zip(asked)
            .map(made)
            .collect())
    }
}
