//! Answers, alone or by majority (self-consistency, arXiv:2203.11171).

use std::collections::BTreeMap;

use potstill_core::Message;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Asked, Elicitor, known_answer};
use crate::{
    Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError, grade,
    rouge_tokens,
};

/// How several samples become one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Vote {
    /// Samples of an answer; with more than one, the sampling has to be random.
    pub samples: usize,
    /// Smallest share of the samples that the winner needs, in `(0, 1]`.
    pub least_share: f64,
}

/// Answers the prompt of each record.
///
/// With a [`Vote`] the answers of several samples are counted: by their last number where they have
/// one, else by their words. A tie for the first place is rejected. Where the record knows the right
/// answer (`meta.answer`), a wrong one is rejected.
#[derive(Clone, Debug)]
pub struct AnswerPrompts {
    elicitor: Elicitor,
    vote: Vote,
    template: PromptTemplate,
}

impl AnswerPrompts {
    /// One answer to each prompt, as it stands.
    #[must_use]
    pub fn new(elicitor: Elicitor) -> Self {
        Self {
            elicitor,
            vote: Vote {
                samples: 1,
                least_share: 1.0,
            },
            template: PromptTemplate::new("answer", include_str!("prompts/answer.jinja")),
        }
    }

    /// The majority of several samples.
    ///
    /// # Panics
    ///
    /// Panics if there is no sample, or several that are all the likeliest.
    #[must_use]
    pub fn by_vote(mut self, vote: Vote) -> Self {
        assert!(
            vote.samples == 1 || (vote.samples > 1 && self.elicitor.sampling.temperature > 0.0),
            "{} samples at temperature {} cannot vote",
            vote.samples,
            self.elicitor.sampling.temperature
        );
        self.vote = vote;
        self
    }

    /// Another prompt: `question`, and `meta` with what is known about the record.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    fn settle(
        &self,
        mut record: Record,
        samples: Vec<Result<Asked, super::Unanswered>>,
    ) -> Outcome {
        let mut answers = Vec::new();
        let mut unanswered = None;
        for sample in samples {
            match sample {
                Ok(asked) => answers.push(asked),
                Err(problem) => unanswered = Some(problem),
            }
        }
        if let (true, Some(problem)) = (answers.is_empty(), unanswered) {
            return problem.outcome(record);
        }
        let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, asked) in answers.iter().enumerate() {
            counts
                .entry(ballot(&asked.reply.text))
                .or_default()
                .push(index);
        }
        let most = counts.values().map(Vec::len).max().unwrap_or(0);
        let mut winners = counts.values().filter(|votes| votes.len() == most);
        let (Some(winner), None) = (winners.next(), winners.next()) else {
            return Outcome::rejected("tie", record);
        };
        let share = most as f64 / self.vote.samples as f64;
        if share < self.vote.least_share {
            return Outcome::Rejected(
                Rejected::new("no majority", record)
                    .with_detail(format!("{share:.2} of the samples agree")),
            );
        }
        let asked = &answers[winner[0]];
        let answer = asked.reply.text.trim().to_owned();
        if let Some(expected) = known_answer(&record) {
            match grade(&expected, &answer) {
                Some(false) => {
                    return Outcome::Rejected(
                        Rejected::new("wrong answer", record).with_detail(answer),
                    );
                }
                Some(true) => {
                    record.meta.insert("verified".into(), json!(true));
                }
                None => {}
            }
        }
        if self.vote.samples > 1 {
            record.meta.insert("vote_share".into(), json!(share));
        }
        record.content = with_answer(&record, answer);
        record.add_provenance(&asked.provenance);
        Outcome::kept(record)
    }
}

impl Stage for AnswerPrompts {
    fn name(&self) -> &'static str {
        "answer"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "vote": self.vote,
            "template": self.template.sha256(),
        })
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let mut conversations = Vec::new();
        for record in &records {
            let prompt = self
                .template
                .render(super::question_value(record))
                .map_err(StageError::new)?;
            for draw in 0..self.vote.samples as u64 {
                conversations.push((before_answer(record, prompt.clone()), draw));
            }
        }
        let mut asked = self
            .elicitor
            .ask(&self.template, conversations, context)
            .into_iter();
        let settle = |record| self.settle(record, asked.by_ref().take(self.vote.samples).collect());
        Ok(records.into_iter().map(settle).collect())
    }
}

/// The conversation up to the question, whose last turn is the prompt.
fn before_answer(record: &Record, prompt: String) -> Vec<Message> {
    let mut messages = match &record.content {
        Content::Messages(messages) => messages.clone(),
        _ => Vec::new(),
    };
    while messages
        .last()
        .is_some_and(|message| message.role != potstill_core::Role::User)
    {
        messages.pop();
    }
    messages.pop();
    messages.push(Message::user(prompt));
    messages
}

fn with_answer(record: &Record, answer: String) -> Content {
    match &record.content {
        Content::Messages(_) => {
            let mut messages = before_answer(record, super::question_of(record));
            messages.push(Message::assistant(answer));
            Content::Messages(messages)
        }
        _ => Content::completion(super::question_of(record), answer),
    }
}

/// What two answers have to share to be the same.
fn ballot(answer: &str) -> String {
    let number = answer
        .split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-')))
        .filter_map(|word| {
            word.trim_end_matches(['.', ',', '-'])
                .replace(',', "")
                .parse::<f64>()
                .ok()
        })
        .next_back();
    number.map_or_else(
        || rouge_tokens(answer).join(" "),
        |number| number.to_string(),
    )
}
