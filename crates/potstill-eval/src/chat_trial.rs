//! A chat model answers items, and its answers are kept before anyone judges them.

use std::path::Path;

use potstill_core::{ChatError, ChatFinish, ChatModel, ChatReply, ChatRequest, Sampling};
use potstill_data::ChatJournal;
use serde::Serialize;

use crate::scores::all_different;
use crate::{Error, ExactMatch, ItemResult, ItemScore, Scores};

/// A question to a [`ChatModel`].
#[derive(Clone, Debug, PartialEq)]
pub struct ChatItem {
    /// Tells which answers of different models belong together.
    pub id: String,
    /// The conversation to be continued, and how.
    pub request: ChatRequest,
    /// The right answer, or whatever else a judge needs to know.
    pub expected: String,
    /// See [`ItemScore::cluster`].
    pub cluster: Option<String>,
    /// See [`ItemScore::category`].
    pub category: Option<String>,
}

impl ChatItem {
    /// An item that stands for itself.
    #[must_use]
    pub fn new(id: impl Into<String>, request: ChatRequest, expected: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            request,
            expected: expected.into(),
            cluster: None,
            category: None,
        }
    }
}

/// What makes an item what it is, for the hash of a task's data: all that the answer or its score depends
/// on, so that numbers of two temperatures are never compared as if they were of one task. How many log-probabilities
/// come with the answer is not part of it.
impl Serialize for ChatItem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole patterns, so that a new field has to be thought of.
        let ChatRequest {
            messages,
            max_tokens,
            sampling,
            stop,
            seed,
            top_log_probs: _,
            schema,
        } = &self.request;
        let Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
        } = sampling;
        (
            &self.id,
            (messages, max_tokens, stop, seed, schema),
            (temperature, top_k, top_p, min_p, repetition_penalty),
            (&self.expected, &self.cluster, &self.category),
        )
            .serialize(serializer)
    }
}

/// What a model answered to each of some [`ChatItem`]s, in their order.
///
/// Two trials on the same items are an A/B test:
///
/// ```
/// use potstill_core::{ChatReply, ChatRequest, Message};
/// use potstill_eval::{ChatItem, ChatTrial, PairedComparison, PairedOptions};
/// use potstill_testkit::ScriptedChat;
///
/// let item = |n: u32| {
///     let request = ChatRequest::new(vec![Message::user(format!("{n} + {n}?"))], 8);
///     ChatItem::new(n.to_string(), request, (2 * n).to_string())
/// };
/// let items: Vec<ChatItem> = (0..50).map(item).collect();
/// let folder = tempfile::tempdir()?;
///
/// // Each could as well be an endpoint, or a model in this process.
/// let teacher = ScriptedChat::new("teacher", |request| {
///     let n = request.messages[0].content.split(' ').next().unwrap_or_default();
///     n.parse().map_or("?".into(), |n: u32| (2 * n).to_string())
/// });
/// let student = ScriptedChat::new("student", |_| "4".into());
///
/// let teacher = ChatTrial::run(teacher, &items, &folder.path().join("teacher.jsonl"))?;
/// let student = ChatTrial::run(student, &items, &folder.path().join("student.jsonl"))?;
/// let is_right = |item: &ChatItem, reply: &ChatReply| f64::from(u8::from(reply.text == item.expected));
/// let (student, teacher) = (student.scores(is_right)?, teacher.scores(is_right)?);
/// let found = PairedComparison::new(&student, &teacher, &PairedOptions::new(0))?;
/// assert!((found.overall.difference + 0.98).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatTrial<'a> {
    answered: Vec<(&'a ChatItem, ChatReply)>,
}

impl<'a> ChatTrial<'a> {
    /// Lets `model` answer `items`.
    ///
    /// Each answer is written to the [`ChatJournal`] at `journal` before it is looked at, and an item
    /// that was answered there is not asked again: a trial that was killed goes on where it was, and
    /// one that is judged in another way costs nothing.
    ///
    /// # Errors
    ///
    /// When there are no items, two have the same id, the journal cannot be used, or an item has no
    /// answer; then the others' answers are kept, and the next trial asks for the missing ones only.
    /// A model is never scored on the items alone that it happened to answer.
    pub fn run<M: ChatModel>(
        model: M,
        items: &'a [ChatItem],
        journal: &Path,
    ) -> Result<Self, Error> {
        if items.is_empty() {
            return Err(Error::Empty { what: "item" });
        }
        all_different(items.iter().map(|item| item.id.as_str()))?;
        let journal = ChatJournal::open(journal, model).map_err(|source| Error::Journal {
            path: journal.into(),
            source: Box::new(source),
        })?;
        let requests: Vec<ChatRequest> = items.iter().map(|item| item.request.clone()).collect();
        let mut answered = Vec::with_capacity(items.len());
        let mut first_failure: Option<(&ChatItem, ChatError)> = None;
        for (item, reply) in items.iter().zip(journal.chat(&requests)) {
            match reply {
                Ok(reply) => answered.push((item, reply)),
                Err(error) => first_failure = first_failure.or(Some((item, error))),
            }
        }
        match first_failure {
            Some((item, source)) => Err(Error::Unanswered {
                model: journal.name().to_owned(),
                failed: items.len() - answered.len(),
                items: items.len(),
                id: item.id.clone(),
                source: Box::new(source),
            }),
            None => Ok(Self { answered }),
        }
    }

    /// Items and answers, in order.
    pub fn answers(&self) -> impl Iterator<Item = (&'a ChatItem, &ChatReply)> {
        self.answered.iter().map(|(item, reply)| (*item, reply))
    }

    /// The score that `grade` gives to each answer.
    ///
    /// # Errors
    ///
    /// When two items have the same id, or a score is not a finite number.
    pub fn scores(&self, grade: impl Fn(&ChatItem, &ChatReply) -> f64) -> Result<Scores, Error> {
        let score = |(item, reply): &(&ChatItem, ChatReply)| ItemScore {
            id: item.id.clone(),
            score: grade(item, reply),
            cluster: item.cluster.clone(),
            category: item.category.clone(),
        };
        Scores::new(self.answered.iter().map(score).collect())
    }

    /// Right or wrong: whether an answer is the expected one, white space around it aside. It holds the
    /// answers for a [`Report`](crate::Report), but neither clusters nor categories; a comparison that
    /// needs them takes [`scores`](Self::scores).
    #[must_use]
    pub fn exact_match(&self) -> ExactMatch {
        let result = |(item, reply): &(&ChatItem, ChatReply)| ItemResult {
            id: item.id.clone(),
            problem: item
                .request
                .messages
                .last()
                .map_or_else(String::new, |message| message.content.clone()),
            expected: item.expected.clone(),
            answer: reply.text.clone(),
            correct: reply.text.trim() == item.expected.trim(),
            new_tokens: reply
                .usage
                .map_or(0, |usage| usage.completion_tokens as usize),
            cut_off: reply.finish == ChatFinish::Length,
        };
        ExactMatch {
            results: self.answered.iter().map(result).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
