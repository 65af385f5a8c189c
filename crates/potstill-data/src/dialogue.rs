//! Models that teach each other by talking.
//!
//! ```text
//!  Syllabus ─▶ Lesson ─▶ turn ─▶ guards ─┬─▶ coverage ─▶ next topic ─▶ … ─▶ Ending
//!  (topics, key facts)    ▲              └─▶ said again, with a correction
//!  take_quiz before       └── saved after every turn          take_quiz after
//! ```
//!
//! A [`Lesson`] has participants with parts: who teaches and who learns. Whether a large model
//! teaches a small one, a small one a large one in its narrow field, or equals each other, is a
//! matter of which model plays which part. Several teachers and several students can share a lesson.
//!
//! The [`Syllabus`] decides what is talked about: [`Coverage`] says which key facts have been told
//! and which a student has said back, the next topic is one that is not yet covered, and the lesson
//! ends when all are, or at a limit, with the reason. [`Guard`]s keep it from going astray.
//! [`take_quiz`] measures what was learned.
//!
//! A [`Transcript`] becomes training records ([`Transcript::records`]), so that talking ends in
//! weights: lesson, records, training, quiz again.

mod contents;
mod coverage;
mod draft;
mod error;
mod guard;
mod lesson;
mod prompts;
mod quiz;
mod records;
mod syllabus;
mod transcript;

pub use coverage::{Coverage, FactCoverage};
pub use draft::draft_syllabus;
pub use error::{DialogueError, SyllabusProblem};
pub use guard::{
    Action, Contradiction, CutOff, Draft, Echo, EmptyTurn, Farewells, Finding, Guard, Meandering,
    Repetition, RoleFlip, Unsure, default_guards,
};
pub use lesson::{Lesson, LessonOptions, Limits, Participant};
pub use prompts::DialoguePrompts;
pub use quiz::{Graded, QuizOptions, QuizResult, grade, take_quiz};
pub use syllabus::{Answer, KeyFact, Question, Syllabus, Topic};
pub use transcript::{LessonEnding, Part, RejectedTurn, Speaker, Transcript, Turn};
