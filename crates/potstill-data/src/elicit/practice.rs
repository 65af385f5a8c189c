//! Questions that a model writes for itself.

use serde_json::{Value, json};

use super::Elicitor;
use super::expand::listed;
use crate::{Content, Outcome, PromptTemplate, Record, Rejected, Stage, StageContext, StageError};

/// Has a model write practice questions about a text, with their answers.
///
/// A text becomes a record for each question. Pairs are read from lines that begin with `Q:` and
/// `A:` (or `Question:` and `Answer:`); a question without an answer, or one that was asked before, is
/// no pair. A model that is too small for that form may still be able to list questions: then
/// [`AnswerPrompts`](super::AnswerPrompts) has them answered. Every text is asked
/// about, however many questions earlier ones have given, so that no part of a document is left out.
#[derive(Clone, Debug)]
pub struct PracticeQuestions {
    elicitor: Elicitor,
    questions: usize,
    answers: bool,
    keeps_text: bool,
    template: PromptTemplate,
}

impl PracticeQuestions {
    /// Asks for so many questions about each text.
    #[must_use]
    pub fn new(elicitor: Elicitor, questions: usize) -> Self {
        Self {
            elicitor,
            questions,
            answers: true,
            keeps_text: false,
            template: PromptTemplate::new("practice", include_str!("prompts/practice.jinja")),
        }
    }

    /// Asks for questions only, as a list: each becomes a record of text for a later stage to answer.
    /// An entry that does not end with a question mark is no question.
    #[must_use]
    pub fn without_answers(mut self) -> Self {
        self.answers = false;
        self.template = PromptTemplate::new(
            "practice_questions",
            include_str!("prompts/practice_questions.jinja"),
        );
        self
    }

    /// Keeps the text of each question in `meta.text`, for a template of [`AnswerPrompts`] that shows
    /// it: the model answers with the text at hand, and a student learns to answer without.
    ///
    /// [`AnswerPrompts`]: super::AnswerPrompts
    #[must_use]
    pub fn with_text_kept(mut self) -> Self {
        self.keeps_text = true;
        self
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
            "answers": self.answers,
            "keeps_text": self.keeps_text,
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
            let (made, missing) = if self.answers {
                (pairs(&asked.reply.text), "no question and answer")
            } else {
                (questions(&asked.reply.text), "no question")
            };
            if made.is_empty() {
                return Outcome::Rejected(
                    Rejected::new(missing, record).with_detail(asked.reply.text),
                );
            }
            let source = super::name_of(&record);
            let pairs = made.into_iter().map(|content| {
                let mut pair: Record = content.into();
                pair.weight = record.weight;
                pair.meta.insert("source".into(), json!(source));
                if self.keeps_text {
                    pair.meta.insert("text".into(), json!(record.text()));
                }
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

/// The entries of a list that are questions, each once.
fn questions(text: &str) -> Vec<Content> {
    let mut questions = Vec::new();
    for entry in listed(text) {
        let question = Content::Text(entry.trim_matches(['*', ' ']).to_owned());
        if entry.trim_end_matches(['*', ' ']).ends_with('?') && !questions.contains(&question) {
            questions.push(question);
        }
    }
    questions
}

/// Questions with the answers that follow them; an answer may go on over several lines.
fn pairs(text: &str) -> Vec<Content> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut question: Option<String> = None;
    let mut in_answer = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = after_marker(line, "Question") {
            question = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
            in_answer = false;
        } else if let Some(rest) = after_marker(line, "Answer") {
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
        .into_iter()
        .map(|(question, answer)| Content::completion(question, answer))
        .collect()
}

/// What follows `Question:`, `Q:`, `Q1:`, `1. Q:` or `**Q:**`.
fn after_marker<'l>(line: &'l str, marker: &str) -> Option<&'l str> {
    let line =
        line.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' ' | '*'));
    let rest = line
        .strip_prefix(marker)
        .or_else(|| line.strip_prefix(marker.get(..1)?))?
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
        let text = "Here you go!\n1. Q: What is 2 + 2?\nA: It is 4,\nbecause 2 and 2 are.\n\nQ2: Who?\nA2: Ada.\n**Q:** Why?\n**A:** So.\nQuestion: When?\nAnswer: Now.";
        assert_eq!(
            pairs(text),
            [
                ("What is 2 + 2?", "It is 4,\nbecause 2 and 2 are."),
                ("Who?", "Ada."),
                ("Why?", "So."),
                ("When?", "Now.")
            ]
            .map(|(question, answer)| Content::completion(question, answer))
        );
    }

    #[test]
    fn questions_are_entries_of_a_list_that_ask() {
        let text =
            "Here are some questions:\n1. **Who flies?**\n2) Why?\n- Bees fly.\n3. Why?\nWhere?";
        let asked = ["Who flies?", "Why?"].map(|question| Content::Text(question.into()));
        assert_eq!(questions(text), asked);
        assert!(questions("I have no questions?").is_empty());
    }

    #[test]
    fn what_is_no_pair_is_not_guessed() {
        assert!(pairs("Q: One?\nQ: Two?").is_empty());
        assert!(pairs("A: an answer to nothing").is_empty());
        assert!(pairs("Q:\nA: x").is_empty());
        assert_eq!(pairs("Q: One?\nA: 1\nQ: One?\nA: 2").len(), 1);
        assert_eq!(
            pairs("Q: One?\nA: 1\n\nHope this helps!"),
            [Content::completion("One?", "1")]
        );
    }
}
