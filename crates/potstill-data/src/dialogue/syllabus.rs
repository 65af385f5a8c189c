//! What is to be learned.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DialogueError, SyllabusProblem};

/// What is to be learned, and the questions that tell whether it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syllabus {
    /// What the lesson is about.
    pub title: String,
    /// The text that the facts come from, for a judge to look at.
    #[serde(default)]
    pub source: Option<String>,
    /// Topics.
    pub topics: Vec<Topic>,
    /// Questions.
    #[serde(default)]
    pub quiz: Vec<Question>,
}

/// Facts that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Topics that come first.
    #[serde(default)]
    pub requires: Vec<String>,
    /// What is to be said about it.
    pub facts: Vec<KeyFact>,
}

/// A fact that must not be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFact {
    /// Its id.
    pub id: String,
    /// The fact, as a sentence.
    pub text: String,
    /// Words that have to be said, each group by one of its words; without any, the words of the
    /// sentence are looked for.
    #[serde(default)]
    pub terms: Vec<Vec<String>>,
    /// Statements that would contradict it.
    #[serde(default)]
    pub contradictions: Vec<String>,
}

/// A question of the comprehension check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// The topic that it is about.
    pub topic: String,
    /// The question.
    pub prompt: String,
    /// How an answer is graded.
    pub answer: Answer,
}

/// How an answer is graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The last number of the answer is this one.
    Number {
        /// The number.
        value: f64,
        /// How far off it may be.
        #[serde(default)]
        tolerance: f64,
    },
    /// One of several options, which are lettered.
    Choice {
        /// The options.
        options: Vec<String>,
        /// Number of the right one, from 0.
        correct: usize,
    },
    /// The answer says one of these, but for case and punctuation.
    Text {
        /// The texts.
        accepted: Vec<String>,
    },
    /// A judge compares the answer with this one and with the source.
    Judged {
        /// A right answer.
        reference: String,
    },
}

impl Syllabus {
    /// Reads a syllabus in TOML or, if the file's name ends so, JSON.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not a syllabus.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DialogueError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| DialogueError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let is_json = path.extension().is_some_and(|end| end == "json");
        let origin = path.display().to_string();
        if is_json {
            Self::from_json(&text, &origin)
        } else {
            Self::from_toml(&text, &origin)
        }
    }

    /// A syllabus from TOML; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// When it is not a syllabus.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, DialogueError> {
        toml::from_str(text)
            .map_err(|problem| problem.to_string())
            .and_then(Self::checked)
            .map_err(|problem| refused(origin, problem))
    }

    /// A syllabus from JSON; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// When it is not a syllabus.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, DialogueError> {
        serde_json::from_str(text)
            .map_err(|problem| problem.to_string())
            .and_then(Self::checked)
            .map_err(|problem| refused(origin, problem))
    }

    /// Why it cannot be taught, if so.
    ///
    /// # Errors
    ///
    /// When it teaches nothing, ids are used twice or do not exist, topics require each other, or a
    /// question has no such option.
    pub fn validate(&self) -> Result<(), SyllabusProblem> {
        if self.topics.iter().all(|topic| topic.facts.is_empty()) {
            return Err(SyllabusProblem::Empty);
        }
        let facts = self
            .topics
            .iter()
            .flat_map(|topic| topic.facts.iter().map(|fact| &fact.id));
        let ids = self.topics.iter().map(|topic| &topic.id);
        let mut seen = BTreeSet::new();
        for id in ids
            .chain(facts)
            .chain(self.quiz.iter().map(|question| &question.id))
        {
            if !seen.insert(id) {
                return Err(SyllabusProblem::Duplicate(id.clone()));
            }
        }
        let known: BTreeSet<&str> = self.topics.iter().map(|topic| topic.id.as_str()).collect();
        let requirements = self.topics.iter().flat_map(|topic| {
            topic
                .requires
                .iter()
                .map(move |required| (&topic.id, required))
        });
        let questions = self
            .quiz
            .iter()
            .map(|question| (&question.id, &question.topic));
        for (user, topic) in requirements.chain(questions) {
            if !known.contains(topic.as_str()) {
                return Err(SyllabusProblem::UnknownTopic {
                    user: user.clone(),
                    topic: topic.clone(),
                    known: known.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
        }
        for question in &self.quiz {
            if let Answer::Choice { options, correct } = &question.answer
                && *correct >= options.len()
            {
                return Err(SyllabusProblem::Option {
                    question: question.id.clone(),
                    options: options.len(),
                    correct: *correct,
                });
            }
        }
        self.order().map(|_| ())
    }

    /// Numbers of the topics, each behind those that it requires, else as they are listed.
    pub(super) fn order(&self) -> Result<Vec<usize>, SyllabusProblem> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.topics.len() {
            let ready = |topic: &Topic| {
                let placed = |id: &String| order.iter().any(|&index| self.topics[index].id == *id);
                topic.requires.iter().all(placed)
            };
            let next = (0..self.topics.len())
                .find(|index| !order.contains(index) && ready(&self.topics[*index]));
            match next {
                Some(index) => order.push(index),
                None => {
                    let left: Vec<&str> = (0..self.topics.len())
                        .filter(|index| !order.contains(index))
                        .map(|index| self.topics[index].id.as_str())
                        .collect();
                    return Err(SyllabusProblem::Circle(left.join(", ")));
                }
            }
        }
        Ok(order)
    }

    fn checked(self) -> Result<Self, String> {
        match self.validate() {
            Ok(()) => Ok(self),
            Err(problem) => Err(problem.to_string()),
        }
    }
}

fn refused(origin: &str, problem: String) -> DialogueError {
    DialogueError::Syllabus {
        origin: origin.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCKS: &str = r#"
        title = "The stock market"

        [[topics]]
        id = "market"
        title = "Where shares are traded"
        requires = ["share"]
        facts = [{ id = "exchange", text = "Shares are traded on an exchange." }]

        [[topics]]
        id = "share"
        title = "What a share is"
        facts = [{ id = "part", text = "A share is a part of a company." }]

        [[quiz]]
        id = "q1"
        topic = "share"
        prompt = "What is a share?"
        answer = { kind = "choice", options = ["a debt", "a part of a company"], correct = 1 }
    "#;

    fn problem(change: (&str, &str)) -> String {
        let text = STOCKS.replace(change.0, change.1);
        assert_ne!(text, STOCKS);
        Syllabus::from_toml(&text, "stocks.toml")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn topics_come_behind_what_they_require() {
        let syllabus = Syllabus::from_toml(STOCKS, "stocks.toml").unwrap();
        assert_eq!(syllabus.order().unwrap(), [1, 0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, expected) in [
            (
                ("id = \"part\"", "id = \"share\""),
                "the id \"share\" is used twice",
            ),
            (
                ("topic = \"share\"", "topic = \"bond\""),
                "\"q1\" names the topic \"bond\", which does not exist; there are market, share",
            ),
            (
                (
                    "title = \"What a share is\"",
                    "title = \"x\"\nrequires = [\"market\"]",
                ),
                "the topics market, share require each other",
            ),
            (
                ("correct = 1", "correct = 2"),
                "question \"q1\" has 2 options, and the correct one is number 2",
            ),
            (("prompt =", "promt ="), "unknown field `promt`"),
        ] {
            let problem = problem(change);
            assert!(
                problem.starts_with("stocks.toml is not a syllabus") && problem.contains(expected),
                "{problem}"
            );
        }
    }
}
