//! What became of the records.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Document, Error};

/// Why a record does not become a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rejection {
    /// It has fewer than two tokens.
    TooShort,
    /// None of its tokens counts.
    NothingCounts,
    /// The tokens that count were cut away.
    CutAway,
    /// The chat template refuses it or fails on it.
    Template,
    /// The turns that count cannot be found in the rendered conversation.
    TurnNotFound,
    /// The tokenizer cannot encode it.
    NotEncodable,
    /// It lacks the second text that it is to be learned with.
    NoCounterpart,
}

impl Rejection {
    /// The reason in an error about one record, `None` for an error that would meet every record.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        match error {
            Error::TooShort { .. } => Some(Self::TooShort),
            Error::NothingCounts => Some(Self::NothingCounts),
            Error::CutAway { .. } => Some(Self::CutAway),
            Error::TemplateRefused { .. } | Error::TemplateRender(_) => Some(Self::Template),
            Error::TurnNotFound { .. } => Some(Self::TurnNotFound),
            Error::Tokenizing { .. } => Some(Self::NotEncodable),
            Error::NoCounterpart { .. } => Some(Self::NoCounterpart),
            _ => None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "too short",
            Self::NothingCounts => "without a token that counts",
            Self::CutAway => "cut down to nothing",
            Self::Template => "refused by the chat template",
            Self::TurnNotFound => "with turns that cannot be found",
            Self::NotEncodable => "not encodable",
            Self::NoCounterpart => "without a second text",
        })
    }
}

/// How many records became what: `records = documents + Σ rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeReport {
    /// Records that went in.
    pub records: usize,
    /// Documents that came out.
    pub documents: usize,
    /// Records that did not, by reason.
    pub rejected: BTreeMap<Rejection, usize>,
    /// What was said about the first record of each reason.
    pub first_rejected: BTreeMap<Rejection, String>,
    /// Documents that were cut.
    pub cut: usize,
    /// Tokens that were cut off them.
    pub tokens_cut: usize,
    /// Tokens that are left.
    pub tokens: usize,
    /// Tokens that count towards the loss.
    pub tokens_counted: usize,
}

impl EncodeReport {
    pub(crate) fn accept(&mut self, document: &Document) {
        self.records += 1;
        self.documents += 1;
        self.cut += usize::from(document.cut > 0);
        self.tokens_cut += document.cut;
        self.tokens += document.tokens.len();
        self.tokens_counted += document.counted();
    }

    pub(crate) fn reject(&mut self, reason: Rejection, error: &Error) {
        self.records += 1;
        *self.rejected.entry(reason).or_default() += 1;
        self.first_rejected
            .entry(reason)
            .or_insert_with(|| with_causes(error));
    }
}

/// What an error says, and what its causes say.
fn with_causes(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    let messages = std::iter::successors(Some(first), |error| error.source());
    let messages: Vec<String> = messages.map(ToString::to_string).collect();
    messages.join(": ")
}

impl fmt::Display for EncodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records, {} documents of {} tokens ({} count)",
            self.records, self.documents, self.tokens, self.tokens_counted
        )?;
        if self.cut > 0 {
            write!(f, "; {} cut by {} tokens", self.cut, self.tokens_cut)?;
        }
        for (reason, count) in &self.rejected {
            write!(f, "; {count} {reason}")?;
            if let Some(first) = self.first_rejected.get(reason) {
                write!(f, " (the first: {first})")?;
            }
        }
        Ok(())
    }
}
