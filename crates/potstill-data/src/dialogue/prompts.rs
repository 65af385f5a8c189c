//! What participants are told, as templates that a user can replace.

use std::fs;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::DialogueError;

/// The prompts of lessons and quizzes, [Jinja](https://docs.rs/minijinja) templates.
///
/// A variable that a template uses and that is not there is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialoguePrompts {
    /// Instructions of a teacher: `name`, `title`, `style`, `students`, `topic`, `open_facts`,
    /// `unconfirmed_facts`, `corrections`.
    pub teacher: String,
    /// Instructions of a student: `name`, `title`, `style`, `teachers`, `corrections`.
    pub student: String,
    /// What a student says first: `title`.
    pub opening: String,
    /// Asks a model for a syllabus: `title`, `source`, `topics`, `facts`.
    pub draft_syllabus: String,
    /// Asks a judge whether an answer is right: `source`, `question`, `reference`, `answer`.
    pub judge_answer: String,
    /// A question of a quiz: `question`, `options` with `letter` and `text`.
    pub question: String,
}

impl Default for DialoguePrompts {
    fn default() -> Self {
        let own = |text: &str| text.trim_end().to_owned();
        Self {
            teacher: own(include_str!("prompts/teacher.jinja")),
            student: own(include_str!("prompts/student.jinja")),
            opening: own(include_str!("prompts/opening.jinja")),
            draft_syllabus: own(include_str!("prompts/draft_syllabus.jinja")),
            judge_answer: own(include_str!("prompts/judge_answer.jinja")),
            question: own(include_str!("prompts/question.jinja")),
        }
    }
}

impl DialoguePrompts {
    /// The default prompts, of which those in `folder` (`teacher.jinja`, `student.jinja`, …) are
    /// replaced.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, DialogueError> {
        let mut prompts = Self::default();
        for (name, prompt) in prompts.named() {
            let path = folder.as_ref().join(format!("{name}.jinja"));
            if path.exists() {
                *prompt = fs::read_to_string(&path)
                    .map_err(|source| DialogueError::Io {
                        action: "read",
                        path,
                        source,
                    })?
                    .trim_end()
                    .to_owned();
            }
        }
        Ok(prompts)
    }

    fn named(&mut self) -> [(&'static str, &mut String); 6] {
        [
            ("teacher", &mut self.teacher),
            ("student", &mut self.student),
            ("opening", &mut self.opening),
            ("draft_syllabus", &mut self.draft_syllabus),
            ("judge_answer", &mut self.judge_answer),
            ("question", &mut self.question),
        ]
    }

    /// SHA-256 of all prompts, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, prompt) in self.clone().named() {
            hasher.update(name);
            hasher.update((prompt.len() as u64).to_le_bytes());
            hasher.update(prompt.as_bytes());
        }
        hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

pub(super) fn render(name: &str, template: &str, values: Value) -> Result<String, DialogueError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .render_str(template, Serde(values))
        .map_err(|source| DialogueError::Prompt {
            name: name.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_can_be_replaced_and_changes_the_hash() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("opening.jinja"),
            "Tell me of {{ title }}!\n",
        )
        .unwrap();
        let prompts = DialoguePrompts::from_folder(folder.path()).unwrap();
        let rendered = render("opening", &prompts.opening, json!({ "title": "bees" })).unwrap();
        assert_eq!(rendered, "Tell me of bees!");
        assert_eq!(prompts.teacher, DialoguePrompts::default().teacher);
        assert_ne!(prompts.sha256(), DialoguePrompts::default().sha256());
    }

    #[test]
    fn an_unknown_variable_is_named() {
        let error = render("opening", "{{ titel }}", json!({ "title": "bees" })).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the prompt \"opening\" cannot be rendered"
        );
    }
}
