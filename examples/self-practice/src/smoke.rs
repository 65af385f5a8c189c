//! A teacher made on the spot, so that the example can be tried without a checkpoint.

use std::sync::Arc;

use anyhow::Result;
use dialogue::letters;
use potstill::burn::module::Module;
use potstill::core::{ChatError, ChatModel, ChatReply, ChatRequest};

use crate::Teacher;

/// A tiny model with random weights, and a script that asks and answers in its place.
pub(crate) fn teacher(seed: u64) -> Result<Teacher> {
    let tokenizer = letters::tokenizer()?;
    Ok(Teacher {
        model: letters::fresh(&tokenizer, 32, 2, 512, seed).valid(),
        tokenizer,
        template: letters::template()?,
        voice: Arc::new(Script),
    })
}

/// Asks what each sentence of a text says, and answers with the first sentence.
struct Script;

impl Script {
    fn answer(request: &ChatRequest) -> String {
        let prompt = request.messages.last().map_or("", |last| &last.content);
        let Some((_, text)) = prompt.split_once("Text:\n") else {
            let sentence = prompt.split_once(". ").map_or(prompt, |(first, _)| first);
            return format!("{sentence}.");
        };
        let sentences = text.split_terminator(". ").take(4);
        sentences
            .map(|sentence| {
                let begin: Vec<&str> = sentence.split_whitespace().take(3).collect();
                format!(
                    "Q: What does the text say that begins with {}?\nA: {sentence}.\n",
                    begin.join(" ")
                )
            })
            .collect()
    }
}

impl ChatModel for Script {
    fn name(&self) -> &'static str {
        "script-1"
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        let answer = |request| Ok(ChatReply::new(Self::answer(request)));
        requests.iter().map(answer).collect()
    }
}
