//! Asking a model, with an account of it.

use std::fmt;
use std::sync::Arc;

use potstill_core::{ChatError, ChatFinish, ChatModel, ChatReply, ChatRequest, Message, Sampling};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::AnswerSchema;
use crate::{Outcome, PromptTemplate, Provenance, Record, Rejected, StageContext, StageError};

/// A model and how it is asked.
#[derive(Clone)]
pub struct Elicitor {
    /// The model.
    pub model: Arc<dyn ChatModel>,
    /// Id of the terms under which it answers, for the policy.
    pub terms: Option<String>,
    /// How it chooses its words.
    pub sampling: Sampling,
    /// Most tokens of an answer. An answer of that length is cut off, and is rejected.
    pub max_tokens: usize,
    /// What an answer has to look like, if it has to be JSON. One that does not is rejected, and the
    /// reason names the place.
    pub schema: Option<AnswerSchema>,
}

impl fmt::Debug for Elicitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elicitor")
            .field("model", &self.model.name())
            .field("terms", &self.terms)
            .field("sampling", &self.sampling)
            .field("max_tokens", &self.max_tokens)
            .field("schema", &self.schema)
            .finish()
    }
}

/// An answer, and where it comes from.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answer: whole, and not empty.
    pub reply: ChatReply,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A record with the answer about it, or what becomes of it without one.
pub(super) type AskedAbout = Result<(Record, Asked), Outcome>;

/// Why there is no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    reason: String,
    detail: Option<String>,
    /// Whether to try again in another run.
    failed: bool,
}

impl Unanswered {
    /// What becomes of the record that the question was about.
    #[must_use]
    pub fn outcome(self, record: Record) -> Outcome {
        let mut rejected = Rejected::new(self.reason, record);
        rejected.detail = self.detail;
        if self.failed {
            Outcome::Failed(rejected)
        } else {
            Outcome::Rejected(rejected)
        }
    }
}

impl Elicitor {
    /// The likeliest answers of up to 512 tokens.
    #[must_use]
    pub fn new(model: Arc<dyn ChatModel>) -> Self {
        Self {
            model,
            terms: None,
            sampling: Sampling::greedy(),
            max_tokens: 512,
            schema: None,
        }
    }

    /// Names the terms under which the model answers.
    #[must_use]
    pub fn with_terms(mut self, terms: impl Into<String>) -> Self {
        self.terms = Some(terms.into());
        self
    }

    /// Another way of choosing words.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Another limit.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// Answers have to follow a schema; the model is told so where it can be.
    #[must_use]
    pub fn with_schema(mut self, schema: AnswerSchema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Everything that changes what the model says, for the configuration of a stage.
    #[must_use]
    pub fn configuration(&self) -> Value {
        json!({
            "model": self.model.name(),
            "terms": self.terms,
            "sampling": format!("{:?}", self.sampling),
            "max_tokens": self.max_tokens,
            "schema": self.schema.as_ref().map(AnswerSchema::source),
        })
    }

    /// Asks all conversations at once. `template` is what they were made with.
    ///
    /// The seed of a request depends on the context and on its content, and `draw` tells several
    /// requests of one content apart.
    #[must_use]
    pub fn ask(
        &self,
        template: &PromptTemplate,
        conversations: Vec<(Vec<Message>, u64)>,
        context: &StageContext<'_>,
    ) -> Vec<Result<Asked, Unanswered>> {
        self.ask_with(template, conversations, false, context)
    }

    /// As [`ask`](Self::ask), and with the probability of each token if that is wanted.
    pub(super) fn ask_with(
        &self,
        template: &PromptTemplate,
        conversations: Vec<(Vec<Message>, u64)>,
        log_probs: bool,
        context: &StageContext<'_>,
    ) -> Vec<Result<Asked, Unanswered>> {
        let requests: Vec<ChatRequest> = conversations
            .into_iter()
            .map(|(messages, draw)| {
                let seed = seed_of(context.seed(), draw, &messages);
                let mut request = ChatRequest::new(messages, self.max_tokens)
                    .with_sampling(self.sampling)
                    .with_seed(seed);
                request.schema = self.schema.as_ref().map(|schema| schema.source().clone());
                request.top_log_probs = log_probs.then_some(0);
                request
            })
            .collect();
        if requests.is_empty() {
            return Vec::new();
        }
        let mut replies = self.model.chat(&requests);
        // A model that loses a request is told so for that request and not for the others.
        replies.resize_with(requests.len(), || {
            Err(ChatError::BadRequest {
                model: self.model.name().to_owned(),
                reason: "it returned fewer replies than it was given requests".into(),
            })
        });
        requests
            .iter()
            .zip(replies)
            .map(|(request, reply)| {
                let reply = self.usable(reply, context)?;
                Ok(Asked {
                    provenance: self.provenance(template, request, context),
                    reply,
                })
            })
            .collect()
    }

    /// Asks about each record, with what `values` puts into the template as the user's message.
    ///
    /// A record without a usable answer comes back as what becomes of it.
    ///
    /// # Errors
    ///
    /// When the template cannot be rendered.
    pub(super) fn ask_each(
        &self,
        template: &PromptTemplate,
        records: Vec<Record>,
        values: impl Fn(&Record) -> Value,
        context: &StageContext<'_>,
    ) -> Result<Vec<AskedAbout>, StageError> {
        let conversations = records
            .iter()
            .map(|record| {
                let prompt = template.render(values(record)).map_err(StageError::new)?;
                Ok((vec![Message::user(prompt)], 0))
            })
            .collect::<Result<Vec<_>, StageError>>()?;
        let asked = self.ask(template, conversations, context);
        Ok(records
            .into_iter()
            .zip(asked)
            .map(|(record, asked)| match asked {
                Ok(asked) => Ok((record, asked)),
                Err(unanswered) => Err(unanswered.outcome(record)),
            })
            .collect())
    }

    fn provenance(
        &self,
        template: &PromptTemplate,
        request: &ChatRequest,
        context: &StageContext<'_>,
    ) -> Provenance {
        let mut parameters = Map::new();
        parameters.insert("temperature".into(), json!(self.sampling.temperature));
        parameters.insert("max_tokens".into(), json!(self.max_tokens));
        parameters.insert("seed".into(), json!(request.seed));
        if let Some(schema) = &request.schema {
            parameters.insert("schema".into(), schema.clone());
        }
        let content = json!([self.model.name(), request.messages, parameters]);
        Provenance {
            model: self.model.name().to_owned(),
            terms: self.terms.clone(),
            template: template.name().to_owned(),
            template_sha256: template.sha256(),
            request_sha256: hex(&Sha256::digest(content.to_string())),
            time: context.now(),
            parameters,
            seed_record: None,
        }
    }

    fn usable(
        &self,
        reply: Result<ChatReply, ChatError>,
        context: &StageContext<'_>,
    ) -> Result<ChatReply, Unanswered> {
        let reply = reply.map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            Unanswered {
                reason: "no answer".into(),
                detail: Some(format!("{error}{}", source.unwrap_or_default())),
                failed: true,
            }
        })?;
        context.count(reply.usage);
        let reason = match reply.finish {
            ChatFinish::Length => "cut off",
            ChatFinish::Filtered => "filtered",
            _ if reply.text.trim().is_empty() => "empty answer",
            _ => return self.following_schema(reply),
        };
        Err(Unanswered {
            reason: reason.into(),
            detail: Some(reply.text),
            failed: false,
        })
    }

    fn following_schema(&self, reply: ChatReply) -> Result<ChatReply, Unanswered> {
        let Some(Err(mismatch)) = self.schema.as_ref().map(|schema| schema.check(&reply.text))
        else {
            return Ok(reply);
        };
        Err(Unanswered {
            reason: mismatch.reason(),
            detail: Some(format!("{mismatch}\n{}", reply.text)),
            failed: false,
        })
    }
}

fn seed_of(seed: u64, draw: u64, messages: &[Message]) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(draw.to_le_bytes());
    for message in messages {
        hasher.update(message.role.as_str());
        hasher.update((message.content.len() as u64).to_le_bytes());
        hasher.update(&message.content);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (first, _) = digest.as_chunks::<8>();
    u64::from_le_bytes(first[0])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
