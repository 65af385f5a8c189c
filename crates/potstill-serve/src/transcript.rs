//! The events of one job, put together.

use crate::engine::{Event, Failure, Finish, ScoredToken};

/// What has been heard of a job so far.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// The prompt's tokens, where they were asked for.
    pub(crate) prompt: Vec<ScoredToken>,
    /// The new tokens.
    pub(crate) tokens: Vec<ScoredToken>,
    /// The new text.
    pub(crate) text: String,
    /// How it ended; `None` while it has not.
    pub(crate) outcome: Option<Result<Finish, Failure>>,
}

impl Transcript {
    /// Adds what happened next.
    pub(crate) fn note(&mut self, event: Event) {
        match event {
            Event::Prompt(tokens) => self.prompt = tokens,
            Event::Token { token, text } => {
                self.tokens.push(token);
                self.text += &text;
            }
            Event::Finished { finish, text } => {
                self.text += &text;
                self.outcome = Some(Ok(finish));
            }
            Event::Failed(failure) => self.outcome = Some(Err(failure)),
        }
    }
}
