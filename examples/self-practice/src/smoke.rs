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

/// Asks what each sentence of a text says, and answers with that sentence.
struct Script;

impl Script {
    fn answer(request: &ChatRequest) -> String {
        let prompt = request.messages.last().map_or("", |last| &last.content);
        match prompt.split_once("Text:\n") {
            Some((_, text)) => Self::questions(text),
            None => Self::sentence(prompt),
        }
    }

    fn questions(text: &str) -> String {
        let paragraph = text.lines().next().unwrap_or_default();
        let sentences = paragraph.split_terminator(". ").take(4);
        sentences
            .enumerate()
            .map(|(i, sentence)| {
                let begin: Vec<&str> = sentence.split_whitespace().take(3).collect();
                let begin = begin.join(" ");
                format!(
                    "{}. What does the text say that begins with {begin}?\n",
                    i + 1
                )
            })
            .collect()
    }

    fn sentence(prompt: &str) -> String {
        let begin = prompt
            .rsplit_once("begins with ")
            .map_or("", |(_, begin)| begin);
        let begin = begin.trim_end_matches(['?', '\n']);
        let paragraph = prompt.lines().next().unwrap_or_default();
        let mut sentences = paragraph.split_terminator(". ");
        let sentence = sentences.find(|sentence| sentence.starts_with(begin));
        format!("{}.", sentence.unwrap_or(paragraph).trim_end_matches('.'))
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
