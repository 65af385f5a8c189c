//! Questions that a model writes for itself.

use serde_json::{Value, json};

use super::Elicitor;
use crate::{Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError};

/// Has a model write practice questions about a text, with their answers.
///
/// A text becomes a record for each question. Pairs are read from lines that begin with `Q:` and
/// `A:`; a question without an answer, or one that was asked before, is no pair. Every text is asked
/// about, however many questions earlier ones have given, so that no part of a document is left out.
#[derive(Clone, Debug)]
pub struct PracticeQuestions {
    elicitor: Elicitor,
    questions: usize,
    template: PromptTemplate,
}

impl PracticeQuestions {
    /// Asks for so many questions about each text.
    #[must_use]
    pub fn new(elicitor: Elicitor, questions: usize) -> Self {
        Self {
            elicitor,
            questions,
            template: PromptTemplate::new("practice", include_str!("prompts/practice.jinja")),
        }
    }

    /// Another prompt: `text`, `questions`.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }
}

impl Stage for PracticeQuestions {
    fn name(&self) -> &'static str {
        "practice-questions"
    }

    fn configuration(&self) -> Value {
        json!({
            "elicitor": self.elicitor.configuration(),
            "questions": self.questions,
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
        let values = |record: &Record| json!({"text": record.text(), "questions": self.questions});
        let asked = self
            .elicitor
            .ask_each(&self.template, records, values, context)?;
        let made = |(record, asked): (Record, super::Asked)| {
            let pairs = pairs(&asked.reply.text);
            if pairs.is_empty() {
                return Outcome::Rejected(
                    Rejected::new("no question and answer", record).with_detail(asked.reply.text),
                );
            }
            let source = super::name_of(&record);
            let pairs = pairs.into_iter().map(|(question, answer)| {
                let mut pair: Record = Content::completion(question, answer).into();
                pair.weight = record.weight;
                pair.meta.insert("source".into(), json!(source));
                let mut provenance = asked.provenance.clone();
                provenance.seed_record = Some(source.clone());
                pair.add_provenance(&provenance);
                pair
            });
            Outcome::Kept(pairs.collect())
        };
        Ok(asked
            .into_iter()
            .map(|asked| asked.map_or_else(|outcome| outcome, made))
            .collect())
    }
}

/// Questions with the answers that follow them; an answer may go on over several lines.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut question: Option<String> = None;
    let mut in_answer = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = after_marker(line, 'Q') {
            question = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
            in_answer = false;
        } else if let Some(rest) = after_marker(line, 'A') {
            in_answer = false;
            if let Some(question) = question.take().filter(|_| !rest.is_empty())
                && !pairs.iter().any(|(before, _)| *before == question)
            {
                pairs.push((question, rest.to_owned()));
                in_answer = true;
            }
        } else if line.is_empty() {
            in_answer = false;
        } else if in_answer && let Some((_, answer)) = pairs.last_mut() {
            answer.push('\n');
            answer.push_str(line);
        }
    }
    pairs
}

/// What follows `Q:`, `Q1:`, `1. Q:` or `**Q:**`.
fn after_marker(line: &str, marker: char) -> Option<&str> {
    let line =
        line.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' ' | '*'));
    let rest = line
        .strip_prefix(marker)?
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest
        .strip_prefix(':')
        .or_else(|| rest.strip_prefix("**:"))?;
    Some(rest.trim_start_matches('*').trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_however_they_are_numbered() {
        let text = "Here you go!\n1. Q: What is 2 + 2?\nA: It is 4,\nbecause 2 and 2 are.\n\nQ2: Who?\nA2: Ada.\n**Q:** Why?\n**A:** So.";
        assert_eq!(
            pairs(text),
            [
                ("What is 2 + 2?", "It is 4,\nbecause 2 and 2 are."),
                ("Who?", "Ada."),
                ("Why?", "So.")
            ]
            .map(|(question, answer)| (question.to_owned(), answer.to_owned()))
        );
    }

    #[test]
    fn what_is_no_pair_is_not_guessed() {
        assert!(pairs("Q: One?\nQ: Two?").is_empty());
        assert!(pairs("A: an answer to nothing").is_empty());
        assert!(pairs("Q:\nA: x").is_empty());
        assert_eq!(pairs("Q: One?\nA: 1\nQ: One?\nA: 2").len(), 1);
        assert_eq!(pairs("Q: One?\nA: 1\n\nHope this helps!")[0].1, "1");
    }
}
