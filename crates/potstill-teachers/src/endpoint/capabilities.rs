//! What a server can do, found out by looking at what comes back.

use serde::Serialize;

use super::server::ServerKind;
use super::wire::prompt::ScoringApi;

/// What a server was seen to do.
///
/// Many servers drop fields that they do not know and answer with status 200, so that a capability
/// counts only when its result was in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Which program it is.
    pub server: ServerKind,
    /// Whether it holds conversations.
    pub chat: bool,
    /// Whether it continues text.
    pub completions: bool,
    /// How many likely tokens it named at a position of its own text; 0 names the chosen one only,
    /// `None` none at all.
    pub top_log_probs: Option<usize>,
    /// Whether it tells the bytes of tokens.
    pub token_bytes: bool,
    /// Whether it tells the ids of tokens.
    pub token_ids: bool,
    /// Whether the same seed gave the same text at temperature 1.
    pub seed: bool,
    /// How it scores text that it did not write.
    pub scoring: Option<Scoring>,
    /// Longest sequence, where it says.
    pub max_positions: Option<usize>,
}

/// How a server scores text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Scoring {
    /// In which way it is asked.
    pub api: ScoringApi,
    /// How many likely tokens it named at a position.
    pub top: usize,
    /// Whether it reads token ids; otherwise it reads text, and its tokens are compared.
    pub takes_ids: bool,
    /// How many tokens it has to write besides.
    pub max_tokens: u32,
}
