//! What can go wrong while a model is measured or a report is written.

use std::path::PathBuf;

use potstill_core::{GenerateError, TeacherError, VocabularyMismatch};

use crate::LineProblem;

/// Why there is no measurement, or no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to measure on.
    #[error("there is no {what} to evaluate on; give at least one")]
    Empty {
        /// What is missing, in the singular.
        what: &'static str,
    },
    /// A setting outside its range.
    #[error("{name} is {value}, it must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Student and teacher do not speak the same tokens.
    #[error("the student cannot be compared with the teacher token by token")]
    Vocabulary(#[from] VocabularyMismatch),
    /// The teacher failed on a batch.
    #[error("the teacher has nothing to say about held-out batch {batch}")]
    Teacher {
        /// Index of the batch.
        batch: usize,
        /// Why.
        #[source]
        source: TeacherError,
    },
    /// The teacher gives less than a whole distribution.
    #[error(
        "the teacher's prediction is {kind}, but held-out metrics compare whole distributions: give a \
         teacher whose predictions are deferred or dense"
    )]
    Prediction {
        /// What it gives.
        kind: &'static str,
    },
    /// A segment is longer than the student's context.
    #[error(
        "held-out batch {batch} holds a sequence of {length} tokens, but the student has \
         {max_positions} positions"
    )]
    TooLong {
        /// Index of the batch.
        batch: usize,
        /// Longest segment of the batch.
        length: usize,
        /// Positions of the student.
        max_positions: usize,
    },
    /// A token that the student's vocabulary lacks.
    #[error(
        "held-out batch {batch} holds token {token}, but the student has only the tokens below \
         {vocab_size}; was it made with another tokenizer?"
    )]
    Token {
        /// Index of the batch.
        batch: usize,
        /// The token.
        token: u32,
        /// Size of the student's vocabulary.
        vocab_size: usize,
    },
    /// A target that the compared vocabulary lacks.
    #[error(
        "held-out batch {batch} has token {target} as a target, but only the first {vocab_size} tokens \
         are compared; was it made with another tokenizer?"
    )]
    Target {
        /// Index of the batch.
        batch: usize,
        /// The token.
        target: i64,
        /// Number of tokens that are compared.
        vocab_size: usize,
    },
    /// A metric that is not a number, because a model's logits are not.
    #[error("{metric} is not a number in held-out batch {batch}; the {model}'s logits hold NaN")]
    NotANumber {
        /// The metric.
        metric: &'static str,
        /// Index of the batch.
        batch: usize,
        /// "student" or "teacher".
        model: &'static str,
    },
    /// The model cannot continue a prompt.
    #[error("the model cannot answer the items from {first} on")]
    Generate {
        /// Id of the first item of the batch of prompts that failed.
        first: String,
        /// Why.
        #[source]
        source: GenerateError,
    },
    /// The model gave another number of answers than it was asked for.
    #[error("the model gave {given} answers to {asked} prompts; it has to give one to each")]
    AnswerCount {
        /// Number of prompts.
        asked: usize,
        /// Number of answers.
        given: usize,
    },
    /// The model cannot continue a prompt while its speed is measured.
    #[error("the model cannot be timed on these prompts")]
    Timing(#[source] GenerateError),
    /// An answer has no text.
    #[error("the answer to item {id} cannot be decoded")]
    Decode {
        /// Id of the item.
        id: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text that cannot be put to a model.
    #[error("text {index} cannot be put to the model")]
    Text {
        /// Index of the text.
        index: usize,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tokenizer that is not that of the model.
    #[error("{model} does not fit its tokenizer")]
    Tokenizer {
        /// The model.
        model: String,
        /// Why.
        #[source]
        source: Box<potstill_data::Error>,
    },
    /// The model cannot score or continue text.
    #[error("{model} cannot score or continue text")]
    TextModel {
        /// The model.
        model: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model that does not say how likely a text is.
    #[error("the model gives no probability for a token of text {index}")]
    NoLikelihood {
        /// Index of the text.
        index: usize,
    },
    /// Two items share an id.
    #[error("item id {id} occurs more than once; ids tell which answers belong together")]
    DuplicateItem {
        /// The id.
        id: String,
    },
    /// A score that is no number.
    #[error("item {id} has the score {score}; scores are finite numbers")]
    Score {
        /// Id of the item.
        id: String,
        /// Its score.
        score: f64,
    },
    /// An item that is grouped differently for two models.
    #[error("item {id} has another cluster or category in {right} than in {left}")]
    DifferentLabels {
        /// Id of the item.
        id: String,
        /// One model.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
    /// Two models were measured on different items.
    #[error(
        "item {id} was put to only one of {left} and {right}; models are compared on the same items"
    )]
    DifferentItems {
        /// The id of an item that one of them lacks.
        id: String,
        /// One model.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
    /// The file of a chat model's answers cannot be used.
    #[error("the answers in {path} cannot be used")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<potstill_data::Error>,
    },
    /// A chat model did not answer every item.
    #[error(
        "{model} left {failed} of {items} items unanswered, item {id} first; run the trial again, the \
         other answers are kept"
    )]
    Unanswered {
        /// The model.
        model: String,
        /// Number of items without an answer.
        failed: usize,
        /// Number of all items.
        items: usize,
        /// The first item without an answer.
        id: String,
        /// Why it has none.
        #[source]
        source: Box<potstill_core::ChatError>,
    },
    /// A prompt that cannot be made.
    #[error("the judge cannot be asked")]
    Prompt(#[source] potstill_data::PromptError),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{path} is not a report")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A file is not what [`Results::write`](crate::Results::write) writes.
    #[error("{path} is not a file of results")]
    Results {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A file follows another schema.
    #[error("{path} follows the schema {found:?}, this version reads {expected:?}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A line of `metrics.jsonl` that makes no sense.
    #[error("{path}, line {line}: {problem}")]
    MetricsLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        problem: Box<LineProblem>,
    },
    /// Something that has no JSON form.
    #[error("this cannot be written as JSON")]
    Serialize(#[source] serde_json::Error),
    /// A chart that cannot be drawn.
    #[error("the chart {title:?} cannot be drawn")]
    Chart {
        /// Its title.
        title: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The template of the HTML report failed.
    #[error("the HTML report cannot be rendered")]
    Template(#[from] minijinja::Error),
}
