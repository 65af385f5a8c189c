//! What participants are told, as templates that a user can replace.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::DialogueError;
use crate::PromptTemplate;

/// The prompts of lessons and quizzes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialoguePrompts {
    /// Instructions of a teacher: `name`, `title`, `style`, `students`, `topic`, `open_facts`,
    /// `unconfirmed_facts`, `corrections`.
    pub teacher: PromptTemplate,
    /// Instructions of a student: `name`, `title`, `style`, `teachers`, `corrections`.
    pub student: PromptTemplate,
    /// What a student says first: `title`.
    pub opening: PromptTemplate,
    /// Asks a model for a syllabus: `title`, `source`, `topics`, `facts`.
    pub draft_syllabus: PromptTemplate,
    /// Asks a judge whether an answer is right: `source`, `question`, `reference`, `answer`.
    pub judge_answer: PromptTemplate,
    /// A question of a quiz: `question`, `options` with `letter` and `text`.
    pub question: PromptTemplate,
}

impl Default for DialoguePrompts {
    fn default() -> Self {
        let own = PromptTemplate::new;
        Self {
            teacher: own("teacher", include_str!("prompts/teacher.jinja")),
            student: own("student", include_str!("prompts/student.jinja")),
            opening: own("opening", include_str!("prompts/opening.jinja")),
            draft_syllabus: own(
                "draft_syllabus",
                include_str!("prompts/draft_syllabus.jinja"),
            ),
            judge_answer: own("judge_answer", include_str!("prompts/judge_answer.jinja")),
            question: own("question", include_str!("prompts/question.jinja")),
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
        for prompt in prompts.all() {
            let path = folder.as_ref().join(format!("{}.jinja", prompt.name()));
            if path.exists() {
                *prompt = PromptTemplate::read(path)?;
            }
        }
        Ok(prompts)
    }

    fn all(&mut self) -> [&mut PromptTemplate; 6] {
        [
            &mut self.teacher,
            &mut self.student,
            &mut self.opening,
            &mut self.draft_syllabus,
            &mut self.judge_answer,
            &mut self.question,
        ]
    }

    /// SHA-256 of all prompts, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for prompt in self.clone().all() {
            hasher.update(prompt.sha256());
        }
        hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let rendered = prompts.opening.render(json!({"title": "bees"})).unwrap();
        assert_eq!(rendered, "Tell me of bees!");
        assert_eq!(prompts.teacher, DialoguePrompts::default().teacher);
        assert_ne!(prompts.sha256(), DialoguePrompts::default().sha256());
    }
}
