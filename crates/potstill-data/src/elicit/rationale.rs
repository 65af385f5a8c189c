//! Answers with the reasons for them (distilling step-by-step, arXiv:2305.02301).

use serde_json::{Value, json};

use super::{Elicitor, known_answer};
use crate::{
    Answer, Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError,
    grade,
};

/// Has a model reason before it answers the prompt of a record.
///
/// The reply has to end with one line `Answer: …`, and something has to stand before it. Where the
/// record knows the right answer (`meta.answer`: a number, a text, or a form of [`Answer`]), a wrong
/// one is rejected. The record's completion becomes the answer, and `meta.rationale` the reasons, for
/// a student that learns to give both.
#[derive(Clone, Debug)]
pub struct Rationales {
    elicitor: Elicitor,
    template: PromptTemplate,
}

impl Rationales {
    /// Asks with the default prompt.
    #[must_use]
    pub fn new(elicitor: Elicitor) -> Self {
        Self {
            elicitor,
            template: PromptTemplate::new("rationale", include_str!("prompts/rationale.jinja")),
        }
    }

    /// Another prompt: `question`, and `meta` with what is known about the record.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }
}

impl Stage for Rationales {
    fn name(&self) -> &'static str {
        "rationales"
    }

    fn configuration(&self) -> Value {
        json!({"elicitor": self.elicitor.configuration(), "template": self.template.sha256()})
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let asked =
            self.elicitor
                .ask_each(&self.template, records, super::question_value, context)?;
        let judge = |(mut record, asked): (Record, super::Asked)| {
            let reply = asked.reply.text;
            let Some((rationale, answer)) = split(&reply) else {
                return Outcome::Rejected(Rejected::new("unreadable", record).with_detail(reply));
            };
            match known_answer(&record) {
                Some(expected) if grade(&expected, &answer) == Some(false) => {
                    return Outcome::Rejected(
                        Rejected::new("wrong answer", record).with_detail(reply),
                    );
                }
                Some(Answer::Judged { .. }) | None => {}
                Some(_) => {
                    record.meta.insert("verified".into(), json!(true));
                }
            }
            record.content = Content::completion(super::question_of(&record), answer);
            record.meta.insert("rationale".into(), json!(rationale));
            record.add_provenance(&asked.provenance);
            Outcome::kept(record)
        };
        Ok(asked
            .into_iter()
            .map(|asked| asked.map_or_else(|outcome| outcome, judge))
            .collect())
    }
}

/// Reasons and answer; `None` without exactly one answer at the end and reasons before it.
fn split(reply: &str) -> Option<(String, String)> {
    let (rationale, last) = reply.trim().rsplit_once('\n')?;
    let answer = strip_answer(last)?;
    let only_one = rationale.lines().all(|line| strip_answer(line).is_none());
    let rationale = rationale.trim();
    (only_one && !rationale.is_empty() && !answer.is_empty())
        .then(|| (rationale.to_owned(), answer.to_owned()))
}

fn strip_answer(line: &str) -> Option<&str> {
    line.trim()
        .trim_start_matches('*')
        .strip_prefix("Answer:")
        .map(|rest| rest.trim_matches(['*', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_answer_are_told_apart() {
        assert_eq!(
            split("2 and 2\nmake 4.\nAnswer: 4"),
            Some(("2 and 2\nmake 4.".into(), "4".into()))
        );
        assert_eq!(
            split("So.\n**Answer:** 4 "),
            Some(("So.".into(), "4".into()))
        );
    }

    #[test]
    fn a_reply_of_another_form_is_not_guessed() {
        for reply in [
            "Answer: 4",
            "The answer is 4.",
            "a\nAnswer:",
            "a\nAnswer: 4\nI hope this helps.",
            "Answer: 3\nAnswer: 4",
            " \nAnswer: 4",
        ] {
            assert_eq!(split(reply), None, "{reply}");
        }
    }
}
