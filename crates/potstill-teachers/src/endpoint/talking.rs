//! Conversations and continuations.

use potstill_core::{ChatError, ChatModel, ChatReply, ChatRequest};
use serde_json::Value;

use super::Endpoint;
use super::asking::not_asked;
use super::wire::completion::CompletionRequest;
use super::wire::{chat, completion};
use crate::Error;

impl ChatModel for Endpoint {
    fn name(&self) -> &str {
        &self.config().model
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        let wanted = requests.iter().filter_map(|request| request.top_log_probs);
        let identity = match self.ready(wanted.max()) {
            Ok(identity) => identity,
            Err(error) => {
                return not_asked(error, requests.len())
                    .into_iter()
                    .map(|result| result.map_err(|error| self.chat_error(error)))
                    .collect();
            }
        };
        let call = |request: &ChatRequest| {
            self.check(request)?;
            let call = chat::call(request, &self.config().model, identity.kind);
            call.map_err(|lacking| self.lacks(identity.kind, lacking))
        };
        let answers = self.ask_all(requests.iter().map(call).collect());
        let read = |(answer, request): (Result<Value, Error>, &ChatRequest)| {
            let known = self.known.as_ref();
            chat::reply(&answer?, request.top_log_probs, known)
                .map_err(|problem| self.shared.exchange.unusable(problem))
        };
        answers
            .into_iter()
            .zip(requests)
            .map(|pair| read(pair).map_err(|error| self.chat_error(error)))
            .collect()
    }
}

impl Endpoint {
    /// Continues texts, each by itself.
    #[must_use]
    pub fn complete(&self, requests: &[CompletionRequest]) -> Vec<Result<ChatReply, Error>> {
        let identity = match self.ready(None) {
            Ok(identity) => identity,
            Err(error) => return not_asked(error, requests.len()),
        };
        let call = |request: &CompletionRequest| {
            let call = completion::call(request, &self.config().model, identity.kind);
            call.map_err(|lacking| self.lacks(identity.kind, lacking))
        };
        let answers = self.ask_all(requests.iter().map(call).collect());
        let read = |(answer, request): (Result<Value, Error>, &CompletionRequest)| {
            let known = self.known.as_ref();
            completion::reply(&answer?, request.top_log_probs, known)
                .map_err(|problem| self.shared.exchange.unusable(problem))
        };
        answers.into_iter().zip(requests).map(read).collect()
    }

    fn check(&self, request: &ChatRequest) -> Result<(), Error> {
        let reason = match request.sampling.validate() {
            Err(error) => error.to_string(),
            Ok(()) if request.messages.is_empty() => "it has no turns; give at least one".into(),
            Ok(()) => return Ok(()),
        };
        Err(Error::Rejected {
            server: self.shared.exchange.server(),
            status: 400,
            message: reason,
        })
    }

    fn chat_error(&self, error: Error) -> ChatError {
        let model = self.config().model.clone();
        match error {
            Error::Unsupported {
                server,
                feature,
                alternative,
            } => ChatError::Unsupported {
                model: format!("{model} ({server})"),
                feature,
                alternative,
            },
            Error::Budget(reached) => ChatError::Budget(reached.to_string()),
            Error::Rejected {
                status: 400 | 413 | 422,
                message,
                ..
            } => ChatError::BadRequest {
                model,
                reason: message,
            },
            error => ChatError::Source {
                model,
                source: Box::new(error),
            },
        }
    }
}
