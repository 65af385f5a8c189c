//! A model in this process that can be talked to.

mod jobs;
mod replies;

use std::sync::Arc;

use potstill_core::{CausalLm, ChatError, ChatModel, ChatReply, ChatRequest};
use potstill_data::{ChatTemplate, TextTokenizer};
use potstill_models::LanguageModel;
use tokio::sync::mpsc::unbounded_channel;

use crate::Error;

use crate::engine::{BatchLimits, Engine};
use crate::transcript::Transcript;
pub(crate) use jobs::JobSettings;

/// A model with its tokenizer and chat template: a [`ChatModel`] without any server.
///
/// One thread owns the model and continues all sequences together, whoever asks for them: requests
/// of one call, of several threads, and of a [`Server`](crate::Server). A request with a seed gets
/// the same answer whatever shares its batch. Cloning is cheap; the thread ends with the last clone.
///
/// A request's [`schema`](ChatRequest::schema) is not followed.
///
/// ```
/// use burn::prelude::*;
/// use potstill_core::{ChatModel, ChatRequest, Message, SpecialTokens};
/// use potstill_data::{ChatTemplate, TextTokenizer};
/// use potstill_models::{Architecture, LanguageModel, ModelConfig};
/// use potstill_serve::{BatchLimits, LocalChat};
///
/// # use potstill_testkit as _;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokenizer = TextTokenizer::from_json(
///     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
///         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
///         "decoder": null, "model": {"type": "WordLevel", "unk_token": "what",
///         "vocab": {"what": 0, "two": 1, "and": 2, "is": 3}}}"#,
/// )?;
/// let template = "{% for message in messages %}{{ message.content }} {% endfor %}";
/// let template = ChatTemplate::new(template, SpecialTokens::default())?;
/// let config = ModelConfig::new(Architecture::Llama, 4, 16, 1, 2);
/// let model = LanguageModel::init(&config, 7, &Device::default());
///
/// let chat = LocalChat::new("tiny", model, tokenizer, Some(template), BatchLimits::default())?;
/// let requests = [ChatRequest::new(vec![Message::user("two and two is")], 3)];
/// let reply = chat.chat(&requests).remove(0)?;
/// assert_eq!(reply.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)), Some((4, 3)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LocalChat {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    name: String,
    tokenizer: TextTokenizer,
    template: Option<ChatTemplate>,
    token_bytes: Vec<Vec<u8>>,
    stop_tokens: Vec<u32>,
    max_positions: usize,
    engine: Engine,
}

impl LocalChat {
    /// Starts the thread of a model that is called `name`.
    ///
    /// Answers end at the end-of-text tokens of the model's configuration and of the tokenizer.
    /// Without a template there is no [`chat`](ChatModel::chat); a server then offers completions
    /// only. Embeddings beyond the tokenizer's tokens are padding and never chosen.
    ///
    /// # Errors
    ///
    /// When the tokenizer has more tokens than the model, a limit is 0, or the thread cannot be
    /// started.
    pub fn new(
        name: impl Into<String>,
        model: LanguageModel,
        tokenizer: TextTokenizer,
        template: Option<ChatTemplate>,
        limits: BatchLimits,
    ) -> Result<Self, Error> {
        let name = name.into();
        if let Err(source) = tokenizer.check_fits(model.vocab_size()) {
            return Err(Error::Tokenizer {
                model: name,
                source,
            });
        }
        let mut stop_tokens = model.config().eos_token_ids.clone();
        stop_tokens.extend(tokenizer.eos_id());
        let max_positions = model.max_positions();
        let token_bytes = tokenizer.token_bytes();
        let engine = Engine::start(model, token_bytes.len(), limits)?;
        Ok(Self {
            parts: Arc::new(Parts {
                name,
                tokenizer,
                template,
                token_bytes,
                stop_tokens,
                max_positions,
                engine,
            }),
        })
    }

    /// The longest conversation, the answer included, in tokens.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        self.parts.max_positions
    }

    pub(crate) fn tokenizer(&self) -> &TextTokenizer {
        &self.parts.tokenizer
    }

    pub(crate) fn template(&self) -> Option<&ChatTemplate> {
        self.parts.template.as_ref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// The bytes of a token; none for an id that the tokenizer lacks.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.parts
            .token_bytes
            .get(token as usize)
            .map_or(&[], Vec::as_slice)
    }

    /// Number of tokens.
    pub(crate) fn vocab_size(&self) -> usize {
        self.parts.token_bytes.len()
    }
}

impl ChatModel for LocalChat {
    fn name(&self) -> &str {
        &self.parts.name
    }

    /// The end-of-text token is counted and, where log-probabilities are asked for, listed: its
    /// probability is knowledge too.
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        let (sender, mut events) = unbounded_channel();
        let settings: Vec<Result<JobSettings, ChatError>> = requests
            .iter()
            .map(|request| self.settings(request))
            .collect();
        let jobs = (0..)
            .zip(&settings)
            .filter_map(|(index, settings)| Some((index, settings.as_ref().ok()?)))
            .map(|(index, settings)| self.job(index, 0, settings, sender.clone()))
            .collect();
        drop(sender);
        if let Err(full) = self.engine().submit(jobs, usize::MAX) {
            unreachable!("the queue has no limit, but is full: {full:?}");
        }
        let mut transcripts: Vec<Transcript> = Vec::new();
        transcripts.resize_with(requests.len(), Transcript::default);
        // Not `blocking_recv`, which refuses to work on a thread of an async runtime.
        while let Some((index, event)) = pollster::block_on(events.recv()) {
            transcripts[index].note(event);
        }
        requests
            .iter()
            .zip(settings)
            .zip(transcripts)
            .map(|((request, settings), transcript)| {
                self.reply(request, settings?.prompt.len(), transcript)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
