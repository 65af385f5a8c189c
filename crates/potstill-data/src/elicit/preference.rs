//! The better of two answers, for learning from preferences.

use std::sync::Arc;

use potstill_core::{ChatModel, ChatRequest, Message, Sampling};
use serde_json::{Value, json};

use super::{Asked, Elicitor};
use crate::{
    Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError,
    rouge_tokens,
};

/// Who says which answer is better.
#[derive(Clone)]
pub enum PreferBy {
    /// A judge, who sees both answers in both orders. One that changes its mind with the order, or
    /// names neither, decides nothing.
    Judge(Arc<dyn ChatModel>),
    /// The teacher's own probabilities: the higher mean log-probability of a token, where the model
    /// gives them.
    Likelihood,
}

impl std::fmt::Debug for PreferBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Judge(judge) => write!(f, "Judge({})", judge.name()),
            Self::Likelihood => f.write_str("Likelihood"),
        }
    }
}

/// Samples two answers to the prompt of each record and keeps the better one as the completion, the
/// other under `meta.rejected_completion`.
#[derive(Clone, Debug)]
pub struct PreferencePairs {
    elicitor: Elicitor,
    by: PreferBy,
    template: PromptTemplate,
}

impl PreferencePairs {
    /// # Panics
    ///
    /// Panics if the answers are not sampled: two of the likeliest are one.
    #[must_use]
    pub fn new(elicitor: Elicitor, by: PreferBy) -> Self {
        assert!(
            elicitor.sampling.temperature > 0.0,
            "two answers at temperature 0 are the same one"
        );
        Self {
            elicitor,
            by,
            template: PromptTemplate::new("prefer", include_str!("prompts/prefer.jinja")),
        }
    }

    /// Another prompt for the judge: `question`, `first`, `second`; the answer is "first" or "second".
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    fn choose(
        &self,
        question: &str,
        answers: [&Asked; 2],
        context: &StageContext<'_>,
    ) -> Result<Result<usize, &'static str>, StageError> {
        let texts = answers.map(|asked| asked.reply.text.trim());
        if texts[0] == texts[1] {
            return Ok(Err("equal answers"));
        }
        match &self.by {
            PreferBy::Likelihood => {
                let means = answers.map(mean_log_prob);
                Ok(match means {
                    [Some(first), Some(second)] if first != second => {
                        Ok(usize::from(second > first))
                    }
                    [Some(_), Some(_)] => Err("undecided"),
                    _ => Err("no probabilities"),
                })
            }
            PreferBy::Judge(judge) => {
                let mut votes = Vec::new();
                for order in [[0, 1], [1, 0]] {
                    let values = json!({
                        "question": question,
                        "first": texts[order[0]],
                        "second": texts[order[1]],
                    });
                    let prompt = self.template.render(values).map_err(StageError::new)?;
                    let request = ChatRequest::new(vec![Message::user(prompt)], 8)
                        .with_sampling(Sampling::greedy());
                    let reply = judge.chat(&[request]).pop().and_then(Result::ok);
                    let Some(reply) = reply else {
                        return Ok(Err("no verdict"));
                    };
                    context.count(reply.usage);
                    votes.push(
                        match rouge_tokens(&reply.text).first().map(String::as_str) {
                            Some("first") => order[0],
                            Some("second") => order[1],
                            _ => return Ok(Err("undecided")),
                        },
                    );
                }
                Ok(if votes[0] == votes[1] {
                    Ok(votes[0])
                } else {
                    Err("depends on the order")
                })
            }
        }
    }
}

impl Stage for PreferencePairs {
    fn name(&self) -> &'static str {
        "preference-pairs"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "by": format!("{:?}", self.by),
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
        let answer = PromptTemplate::new("answer", "{{ question }}");
        let conversations = records
            .iter()
            .flat_map(|record| {
                let message = vec![Message::user(super::question_of(record))];
                [(message.clone(), 0), (message, 1)]
            })
            .collect();
        let wants_log_probs = matches!(self.by, PreferBy::Likelihood);
        let mut asked = self
            .elicitor
            .ask_with(&answer, conversations, wants_log_probs, context)
            .into_iter();
        records
            .into_iter()
            .map(|mut record| {
                let (Some(first), Some(second)) = (asked.next(), asked.next()) else {
                    unreachable!("every question is asked twice")
                };
                let answers = match (first, second) {
                    (Ok(first), Ok(second)) => [first, second],
                    (Err(problem), _) | (_, Err(problem)) => return Ok(problem.outcome(record)),
                };
                let question = super::question_of(&record);
                let better = match self.choose(&question, [&answers[0], &answers[1]], context)? {
                    Ok(better) => better,
                    Err(reason) => return Ok(Outcome::Rejected(Rejected::new(reason, record))),
                };
                let (chosen, other) = (&answers[better], &answers[1 - better]);
                record
                    .meta
                    .insert("rejected_completion".into(), json!(other.reply.text.trim()));
                record.content = Content::completion(question, chosen.reply.text.trim());
                record.add_provenance(&chosen.provenance);
                record.add_provenance(&other.provenance);
                Ok(Outcome::kept(record))
            })
            .collect()
    }
}

fn mean_log_prob(asked: &Asked) -> Option<f64> {
    let tokens = asked
        .reply
        .tokens
        .as_ref()
        .filter(|tokens| !tokens.is_empty())?;
    let sum: f64 = tokens
        .iter()
        .map(|token| f64::from(token.chosen.log_prob))
        .sum();
    Some(sum / tokens.len() as f64)
}
