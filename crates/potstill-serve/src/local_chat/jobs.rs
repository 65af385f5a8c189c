//! What a model is asked for, checked.

use potstill_core::{ChatError, ChatRequest, Message, Sampling};
use tokio::sync::mpsc::UnboundedSender;

use super::LocalChat;
use crate::engine::{Event, Job};
use crate::error::with_sources;
use crate::text_stream::TextStream;

/// What an answer depends on.
#[derive(Clone, Debug)]
pub(crate) struct JobSettings {
    pub(crate) prompt: Vec<u32>,
    pub(crate) max_new_tokens: usize,
    pub(crate) sampling: Sampling,
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) top: usize,
    pub(crate) score_prompt: Option<usize>,
}

impl LocalChat {
    /// What a request asks for.
    pub(super) fn settings(&self, request: &ChatRequest) -> Result<JobSettings, ChatError> {
        let settings = JobSettings {
            prompt: self.render(&request.messages)?,
            max_new_tokens: request.max_tokens,
            sampling: request.sampling,
            seed: request.seed,
            stop: request.stop.clone(),
            top: request.top_log_probs.unwrap_or(0),
            score_prompt: None,
        };
        self.check(&settings)?;
        Ok(settings)
    }

    /// A conversation in tokens, up to where the answer begins.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<Vec<u32>, ChatError> {
        let Some(template) = &self.parts.template else {
            return Err(ChatError::Unsupported {
                model: self.parts.name.clone(),
                feature: "conversations, since it has no chat template".into(),
                alternative: "continue plain text through /v1/completions, or give a template"
                    .into(),
            });
        };
        if messages.is_empty() {
            return Err(self.refused("it has no messages; give at least one"));
        }
        let render = || {
            self.tokenizer()
                .encode(&template.render(messages, true)?, false)
        };
        render().map_err(|error| self.refused(with_sources(&error)))
    }

    /// Checks `job` against the model.
    pub(crate) fn check(&self, job: &JobSettings) -> Result<(), ChatError> {
        if let Err(error) = job.sampling.validate() {
            return Err(self.refused(error.to_string()));
        }
        if let Some(place) = job.stop.iter().position(String::is_empty) {
            return Err(self.refused(format!(
                "stop string {place} is empty; it would stop at once"
            )));
        }
        let (prompt, max_new_tokens) = (job.prompt.len(), job.max_new_tokens);
        if prompt == 0 {
            return Err(self.refused("the prompt is empty; give at least one token"));
        }
        let vocab_size = self.vocab_size();
        if let Some(token) = job.prompt.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(self.refused(format!(
                "the prompt holds token {token}, but there are only {vocab_size} tokens"
            )));
        }
        let max_positions = self.max_positions();
        if prompt.saturating_add(max_new_tokens) > max_positions {
            return Err(self.refused(format!(
                "the prompt has {prompt} tokens and {max_new_tokens} more were asked for, but the \
                 context has {max_positions}; together they must not be more"
            )));
        }
        Ok(())
    }

    /// What the engine shall do for checked settings.
    pub(crate) fn job(
        &self,
        index: usize,
        repetition: u64,
        settings: &JobSettings,
        events: UnboundedSender<(usize, Event)>,
    ) -> Job {
        let (mut stop_tokens, stop) = self.stops(&settings.stop);
        stop_tokens.extend(&self.parts.stop_tokens);
        Job {
            index,
            prompt: settings.prompt.clone(),
            max_new_tokens: settings.max_new_tokens,
            sampling: settings.sampling,
            seed: settings.seed.unwrap_or_else(rand::random),
            repetition,
            stop_tokens,
            text: TextStream::new(self.tokenizer(), stop, true),
            top: settings.top,
            score_prompt: settings.score_prompt,
            events,
        }
    }

    /// Stop texts that are special tokens, which answers show no text of, and the others.
    pub(super) fn stops(&self, stop: &[String]) -> (Vec<u32>, Vec<String>) {
        let mut tokens = Vec::new();
        let mut strings = Vec::new();
        for stop in stop {
            let special = self.tokenizer().token_id(stop).filter(|&id| {
                let reads = |skip_special_tokens, expected| {
                    let text = self.tokenizer().decode(&[id], skip_special_tokens);
                    text.is_ok_and(|text| text == expected)
                };
                reads(true, "") && reads(false, stop.as_str())
            });
            match special {
                Some(id) => tokens.push(id),
                None => strings.push(stop.clone()),
            }
        }
        (tokens, strings)
    }

    fn refused(&self, reason: impl Into<String>) -> ChatError {
        ChatError::BadRequest {
            model: self.parts.name.clone(),
            reason: reason.into(),
        }
    }
}
