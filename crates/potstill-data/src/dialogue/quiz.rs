//! What somebody knows.

use potstill_core::{ChatError, ChatModel, ChatRequest, Message};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, DialogueError, DialoguePrompts, Question, Syllabus};
use crate::rouge_tokens;

/// Settings of a quiz.
#[derive(Clone, Debug)]
pub struct QuizOptions {
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// The prompts.
    pub prompts: DialoguePrompts,
}

impl Default for QuizOptions {
    fn default() -> Self {
        Self {
            max_tokens: 64,
            prompts: DialoguePrompts::default(),
        }
    }
}

/// An answer and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// Id of the question.
    pub question: String,
    /// Id of its topic.
    pub topic: String,
    /// The answer; `None` if the model gave none.
    pub answer: Option<String>,
    /// Whether it is right. An answer that cannot be read is wrong.
    pub correct: bool,
}

/// The answers to a quiz.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuizResult {
    /// One for each question.
    pub answers: Vec<Graded>,
}

impl QuizResult {
    /// Share of right answers, in `[0, 1]`.
    #[must_use]
    pub fn score(&self) -> f64 {
        let correct = self.answers.iter().filter(|answer| answer.correct).count();
        correct as f64 / self.answers.len().max(1) as f64
    }
}

/// Asks a model every question of a syllabus, one by one and without the lesson: what it knows, not
/// what it has just heard.
///
/// The likeliest answer is graded exactly where the question says how, and else by `judge`, who sees
/// the source.
///
/// # Errors
///
/// When a question needs a judge and there is none, or the judge does not answer. A model that does
/// not answer a question has it wrong.
pub fn take_quiz(
    model: &dyn ChatModel,
    syllabus: &Syllabus,
    judge: Option<&dyn ChatModel>,
    options: &QuizOptions,
) -> Result<QuizResult, DialogueError> {
    let requests = syllabus
        .quiz
        .iter()
        .map(|question| {
            let message = Message::user(ask(question, &options.prompts)?);
            Ok(ChatRequest::new(vec![message], options.max_tokens))
        })
        .collect::<Result<Vec<_>, DialogueError>>()?;
    let replies = model.chat(&requests);
    let answers = syllabus.quiz.iter().zip(replies).map(|(question, reply)| {
        let answer = reply.ok().map(|reply| reply.text.trim().to_owned());
        let correct = match (&answer, &question.answer) {
            (None, _) => false,
            (Some(answer), Answer::Judged { reference }) => {
                judged(judge, syllabus, question, reference, answer, options)?
            }
            (Some(answer), exact) => grade(exact, answer).unwrap_or(false),
        };
        Ok(Graded {
            question: question.id.clone(),
            topic: question.topic.clone(),
            answer,
            correct,
        })
    });
    Ok(QuizResult {
        answers: answers.collect::<Result<_, DialogueError>>()?,
    })
}

/// Whether an answer is right; `None` if it takes a judge to say.
#[must_use]
pub fn grade(expected: &Answer, answer: &str) -> Option<bool> {
    match expected {
        Answer::Number { value, tolerance } => {
            Some(last_number(answer).is_some_and(|found| (found - value).abs() <= *tolerance))
        }
        Answer::Choice { options, correct } => Some(chosen(options, answer) == Some(*correct)),
        Answer::Text { accepted } => {
            let said = format!(" {} ", rouge_tokens(answer).join(" "));
            let says =
                |text: &String| said.contains(&format!(" {} ", rouge_tokens(text).join(" ")));
            Some(accepted.iter().any(says))
        }
        Answer::Judged { .. } => None,
    }
}

fn ask(question: &Question, prompts: &DialoguePrompts) -> Result<String, DialogueError> {
    let options: Vec<_> = match &question.answer {
        Answer::Choice { options, .. } => ('A'..)
            .zip(options)
            .map(|(letter, text)| json!({ "letter": letter.to_string(), "text": text }))
            .collect(),
        _ => Vec::new(),
    };
    Ok(prompts
        .question
        .render(json!({ "question": question.prompt, "options": options }))?)
}

fn judged(
    judge: Option<&dyn ChatModel>,
    syllabus: &Syllabus,
    question: &Question,
    reference: &str,
    answer: &str,
    options: &QuizOptions,
) -> Result<bool, DialogueError> {
    let failed = |source| DialogueError::Model {
        speaker: "the judge".into(),
        source,
    };
    let judge = judge.ok_or_else(|| {
        failed(ChatError::Unsupported {
            model: "the quiz".into(),
            feature: format!("grading question {:?} exactly", question.id),
            alternative: "give it a judge, or a question with a number, a choice or accepted texts"
                .into(),
        })
    })?;
    let values = json!({
        "source": syllabus.source,
        "question": question.prompt,
        "reference": reference,
        "answer": answer,
    });
    let prompt = options.prompts.judge_answer.render(values)?;
    let request = ChatRequest::new(vec![Message::user(prompt)], 8);
    let mut replies = judge.chat(&[request]);
    let reply = replies.pop().transpose().map_err(failed)?;
    let words = reply
        .map(|reply| rouge_tokens(&reply.text))
        .unwrap_or_default();
    Ok(words.first().is_some_and(|word| word == "correct"))
}

fn last_number(text: &str) -> Option<f64> {
    text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-')))
        .filter_map(|word| {
            word.trim_end_matches(['.', ',', '-'])
                .replace(',', "")
                .parse()
                .ok()
        })
        .next_back()
}

/// The option that an answer names, by its letter or in full.
fn chosen(options: &[String], answer: &str) -> Option<usize> {
    let words: Vec<&str> = answer
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let letter = |word: &&str| {
        let mut characters = word.chars();
        match (characters.next(), characters.next()) {
            (Some(letter @ 'A'..='Z'), None) => Some(letter as usize - 'A' as usize),
            _ => None,
        }
    };
    // "A" also begins sentences: it only counts where it stands first or alone.
    let lettered = words
        .first()
        .and_then(letter)
        .filter(|_| words.len() == 1 || !is_article(answer));
    let lettered = lettered.or_else(|| {
        words
            .iter()
            .skip(1)
            .find_map(letter)
            .filter(|&index| index > 0)
    });
    lettered.filter(|&index| index < options.len()).or_else(|| {
        let said = format!(" {} ", rouge_tokens(answer).join(" "));
        let named: Vec<usize> = (0..options.len())
            .filter(|&index| {
                said.contains(&format!(" {} ", rouge_tokens(&options[index]).join(" ")))
            })
            .collect();
        match named[..] {
            [index] => Some(index),
            _ => None,
        }
    })
}

/// Whether an answer begins with "A" as a word of a sentence.
fn is_article(answer: &str) -> bool {
    let rest = answer.trim_start().strip_prefix('A');
    rest.is_some_and(|rest| {
        rest.trim_start_matches(' ')
            .starts_with(|c: char| c.is_lowercase())
            && rest.starts_with(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn graded(expected: &Answer, answers: &[(&str, bool)]) {
        for (answer, correct) in answers {
            assert_eq!(grade(expected, answer), Some(*correct), "{answer}");
        }
    }

    #[test]
    fn the_last_number_counts() {
        let number = Answer::Number {
            value: 1250.0,
            tolerance: 0.5,
        };
        graded(
            &number,
            &[
                ("1,250", true),
                ("first 3, so 1250.", true),
                ("1250 or 12", false),
                ("none", false),
                ("-1250", false),
            ],
        );
    }

    #[test]
    fn a_choice_is_a_letter_or_an_option_in_full() {
        let choice = Answer::Choice {
            options: vec!["a debt".into(), "a part of a company".into()],
            correct: 1,
        };
        graded(
            &choice,
            &[
                ("B", true),
                ("B) a part of a company", true),
                ("The answer is B.", true),
                ("A", false),
                ("A part of a company.", true),
                ("A debt or a part of a company", false),
                ("C", false),
                ("", false),
            ],
        );
    }

    #[test]
    fn a_text_is_found_whatever_its_case() {
        let text = Answer::Text {
            accepted: vec!["New York".into()],
        };
        graded(
            &text,
            &[
                ("It is in NEW york!", true),
                ("York", false),
                ("New Yorkshire", false),
            ],
        );
    }
}
