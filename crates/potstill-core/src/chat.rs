//! Conversations: what a model that can only be talked to offers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Message, Sampling};

/// One conversation to be continued by a turn of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The turns so far.
    pub messages: Vec<Message>,
    /// Most tokens of the answer.
    pub max_tokens: usize,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Seed of the choice; without one, the model chooses its own.
    pub seed: Option<u64>,
    /// How many likely tokens to name at each position, with their log-probabilities; 0 names the
    /// chosen ones only, `None` none at all.
    pub top_log_probs: Option<usize>,
    /// JSON schema that the answer shall follow. A model may ignore it, so the answer is still to be
    /// validated.
    pub schema: Option<serde_json::Value>,
}

impl ChatRequest {
    /// A request for the likeliest answer of up to `max_tokens`.
    #[must_use]
    pub fn new(messages: Vec<Message>, max_tokens: usize) -> Self {
        Self {
            messages,
            max_tokens,
            sampling: Sampling::greedy(),
            stop: Vec::new(),
            seed: None,
            top_log_probs: None,
            schema: None,
        }
    }

    /// The same request with another way of choosing tokens.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// The same request with a seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The same request with texts that end the answer.
    #[must_use]
    pub fn with_stop(mut self, stop: Vec<String>) -> Self {
        self.stop = stop;
        self
    }

    /// The same request, asking for the `top` likeliest tokens at each position.
    #[must_use]
    pub fn with_top_log_probs(mut self, top: usize) -> Self {
        self.top_log_probs = Some(top);
        self
    }

    /// The same request for an answer that follows a JSON schema.
    #[must_use]
    pub fn with_schema(mut self, schema: serde_json::Value) -> Self {
        self.schema = Some(schema);
        self
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChatFinish {
    /// The model ended its turn, or a stop text was met.
    Stop,
    /// The answer has as many tokens as were allowed: it is cut off.
    Length,
    /// A filter of the endpoint cut or replaced the answer.
    Filtered,
    /// What an endpoint called it.
    Other(String),
}

/// Tokens that were read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the conversation so far.
    pub prompt_tokens: u64,
    /// Tokens of the answer, thoughts that are not shown included.
    pub completion_tokens: u64,
}

/// A token by its bytes, since a token need not be whole characters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProb {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of the probability, at temperature 1 and before any filter.
    pub log_prob: f32,
}

/// A position of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatToken {
    /// The token that was chosen.
    pub chosen: TokenLogProb,
    /// The likeliest tokens, descending; as many as were asked for or fewer.
    pub top: Vec<TokenLogProb>,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatReply {
    /// The answer.
    pub text: String,
    /// Why it ended.
    pub finish: ChatFinish,
    /// Tokens read and written, where the model says.
    pub usage: Option<Usage>,
    /// Every position, where log-probabilities were asked for and the model gives them.
    pub tokens: Option<Vec<ChatToken>>,
}

impl ChatReply {
    /// An answer that ended by itself, without any account of it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            finish: ChatFinish::Stop,
            usage: None,
            tokens: None,
        }
    }
}

/// A model that can be talked to: an endpoint, a model in this process, a script in a test.
///
/// Calls are synchronous and batched; an endpoint runs its requests side by side inside. Requests
/// are answered independently: one that fails leaves the others alone.
pub trait ChatModel: Send + Sync {
    /// Which model answers, for provenance: a name with its version, never a secret.
    fn name(&self) -> &str;

    /// One answer, or one error, for each request, in order.
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>>;
}

impl<M: ChatModel + ?Sized> ChatModel for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        (**self).chat(requests)
    }
}

impl<M: ChatModel + ?Sized> ChatModel for Arc<M> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        (**self).chat(requests)
    }
}

impl<M: ChatModel + ?Sized> ChatModel for &M {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        (**self).chat(requests)
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The conversation is not one that this model can continue.
    #[error("{model} cannot continue this conversation: {reason}")]
    BadRequest {
        /// The model's name.
        model: String,
        /// What is wrong with the request, and what would be right.
        reason: String,
    },
    /// The model cannot do what was asked for.
    #[error("{model} does not support {feature}; {alternative}")]
    Unsupported {
        /// The model's name.
        model: String,
        /// What was asked for.
        feature: String,
        /// What works instead.
        alternative: String,
    },
    /// The request was not sent, since a limit on tokens, money or time is reached.
    #[error("the budget is spent: {0}")]
    Budget(String),
    /// Anything that a particular model can run into.
    #[error("{model} failed")]
    Source {
        /// The model's name.
        model: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the last turn, in capitals.
    struct Shouting;

    impl ChatModel for Shouting {
        fn name(&self) -> &'static str {
            "shouting"
        }
        fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
            let answer = |request: &ChatRequest| match request.messages.last() {
                Some(message) => Ok(ChatReply::new(message.content.to_uppercase())),
                None => Err(ChatError::BadRequest {
                    model: self.name().to_owned(),
                    reason: "it has no turns; give at least one".into(),
                }),
            };
            requests.iter().map(answer).collect()
        }
    }

    #[test]
    fn a_request_that_fails_leaves_the_others_alone() {
        let requests = [
            ChatRequest::new(vec![], 8),
            ChatRequest::new(vec![Message::user("hello")], 8),
        ];
        let model: Arc<dyn ChatModel> = Arc::new(Shouting);
        let replies = model.chat(&requests);
        assert_eq!(
            replies[0].as_ref().unwrap_err().to_string(),
            "shouting cannot continue this conversation: it has no turns; give at least one"
        );
        assert_eq!(replies[1].as_ref().unwrap().text, "HELLO");
    }

    #[test]
    fn a_reply_survives_a_round_trip() {
        let mut reply = ChatReply::new("é");
        reply.finish = ChatFinish::Other("tool".into());
        let token = |byte, log_prob| TokenLogProb {
            bytes: vec![byte],
            log_prob,
        };
        reply.tokens = Some(vec![ChatToken {
            chosen: token(0xc3, -0.25),
            top: vec![token(0xc3, -0.25), token(0x65, -1.5)],
        }]);
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<ChatReply>(&json).unwrap(), reply);
    }
}
