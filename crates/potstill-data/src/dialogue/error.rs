//! Why a lesson cannot begin or go on.

use std::path::PathBuf;

use potstill_core::ChatError;

use crate::PromptError;

/// What is wrong with a syllabus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyllabusProblem {
    /// It teaches nothing.
    #[error("it has no topic with a key fact")]
    Empty,
    /// Two things share an id.
    #[error("the id {0:?} is used twice; topics, facts and questions need ids of their own")]
    Duplicate(String),
    /// Something names a topic that is not there.
    #[error("{user:?} names the topic {topic:?}, which does not exist; there are {known}")]
    UnknownTopic {
        /// Who names it.
        user: String,
        /// What it names.
        topic: String,
        /// What there is.
        known: String,
    },
    /// Topics require each other.
    #[error("the topics {0} require each other, so that none can come first")]
    Circle(String),
    /// A question whose right answer is not among its options.
    #[error(
        "question {question:?} has {options} options, and the correct one is number {correct} (from 0)"
    )]
    Option {
        /// Its id.
        question: String,
        /// How many.
        options: usize,
        /// The number.
        correct: usize,
    },
}

/// Why a lesson cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialogueError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A syllabus that is not one.
    #[error("{origin} is not a syllabus: {problem}")]
    Syllabus {
        /// The file, or who drafted it.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A prompt that cannot be read or rendered.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A lesson that nobody teaches or nobody attends.
    #[error("a lesson needs a teacher and a student; it has {teachers} and {students}")]
    Participants {
        /// How many teach.
        teachers: usize,
        /// How many learn.
        students: usize,
    },
    /// Two participants share a name.
    #[error("two participants are called {0:?}; the transcript could not tell them apart")]
    SameName(String),
    /// A limit on cost that cannot be watched.
    #[error(
        "the lesson may cost {limit}, but nobody knows what the tokens of {speaker:?} cost; give it a price"
    )]
    NoPrice {
        /// The limit.
        limit: f64,
        /// Who has no price.
        speaker: String,
    },
    /// A saved lesson that is another one.
    #[error(
        "{} holds another lesson: its syllabus, participants, prompts or settings differ; use another \
         file, or what the lesson began with", path.display()
    )]
    OtherLesson {
        /// The file.
        path: PathBuf,
    },
    /// A saved lesson that cannot be read.
    #[error("{} is not a saved lesson", path.display())]
    Transcript {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A participant that does not answer. The lesson is saved up to here.
    #[error("{speaker} did not answer")]
    Model {
        /// Its name.
        speaker: String,
        /// Why.
        #[source]
        source: ChatError,
    },
    /// A transcript that is no conversation.
    #[error("turn {turn} of the transcript is by {speaker:?}, who is no participant")]
    UnknownSpeaker {
        /// Its number.
        turn: usize,
        /// The name.
        speaker: String,
    },
}
