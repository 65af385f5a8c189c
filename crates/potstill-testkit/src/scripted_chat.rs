//! A model that answers as it is told.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use potstill_core::{ChatError, ChatModel, ChatReply, ChatRequest, Usage};

type Script = dyn Fn(&ChatRequest) -> Result<ChatReply, ChatError> + Send + Sync;

/// A [`ChatModel`] that answers by a function of the request, and counts the requests.
pub struct ScriptedChat {
    name: String,
    script: Box<Script>,
    requests: AtomicUsize,
}

impl fmt::Debug for ScriptedChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedChat")
            .field("name", &self.name)
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

impl ScriptedChat {
    /// Answers with the text that `script` makes of a request; a word counts as a token.
    pub fn new(
        name: impl Into<String>,
        script: impl Fn(&ChatRequest) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::fallible(name, move |request| Ok(script(request)))
    }

    /// As [`new`](Self::new), for scripts that fail at times.
    pub fn fallible(
        name: impl Into<String>,
        script: impl Fn(&ChatRequest) -> Result<String, ChatError> + Send + Sync + 'static,
    ) -> Self {
        let words = |text: &str| text.split_whitespace().count() as u64;
        Self::with_replies(name, move |request| {
            let text = script(request)?;
            let read = request
                .messages
                .iter()
                .map(|message| words(&message.content))
                .sum();
            let mut reply = ChatReply::new(text);
            reply.usage = Some(Usage {
                prompt_tokens: read,
                completion_tokens: words(&reply.text),
            });
            Ok(reply)
        })
    }

    /// Answers with whole replies.
    pub fn with_replies(
        name: impl Into<String>,
        script: impl Fn(&ChatRequest) -> Result<ChatReply, ChatError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            script: Box::new(script),
            requests: AtomicUsize::new(0),
        }
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl ChatModel for ScriptedChat {
    fn name(&self) -> &str {
        &self.name
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        self.requests.fetch_add(requests.len(), Ordering::Relaxed);
        requests
            .iter()
            .map(|request| (self.script)(request))
            .collect()
    }
}
