//! Text to batches.
//!
//! ```text
//! read_records, read_text ─▶ Record ─▶ ChatTemplate ─▶ TextTokenizer ─▶ Document ─▶ TokenRow ─▶ TokenBatch
//!                                      └──────── encode_records ────────┘   pack       Loader
//! ```
//!
//! - [`Record`] is a conversation, a prompt with its completion, or plain text; [`read_records`] and
//!   [`RecordWriter`] move records in and out of JSONL and Parquet files, whatever their [`Layout`],
//!   [`read_text`] cuts up plain text, and [`split_held_out`] keeps some for evaluation.
//! - [`ChatTemplate`] renders conversations as Hugging Face does, [`TextTokenizer`] encodes them.
//! - [`encode_records`] decides with [`LossOn`] which tokens count; [`pack`] fills rows; [`pack_stream`]
//!   does both for what memory does not hold; [`encode_preferences`] and [`encode_rationales`] keep two documents of a
//!   record together in a row; [`Loader`] shuffles rows into batches, from a position
//!   that can be saved and restored.
//! - [`StopStrings`] ends generated text.
//! - A [`Pipeline`] sends records through stages, resumes after a kill, and accounts for every one;
//!   a [`ChatJournal`] keeps what a model answered on the way.
//!
//! The feature `parquet`, on by default, adds Parquet to JSONL.
//!
//! Every stage accounts for what it was given: records in are documents out plus rejected ones by
//! reason, and no token that counts is lost in packing.
//!
//! # Examples
//!
//! ```
//! use potstill_core::SpecialTokens;
//! use potstill_data::{
//!     Content, EncodeOptions, Loader, LoaderOptions, PackOptions, Record, TextTokenizer, encode_records,
//!     pack,
//! };
//!
//! # use potstill_testkit as _;
//! # fn main() -> Result<(), potstill_data::Error> {
//! let specials = SpecialTokens { eos: Some("end".into()), ..SpecialTokens::default() };
//! let tokenizer = TextTokenizer::from_json(
//!     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
//!         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
//!         "decoder": null, "model": {"type": "WordLevel", "unk_token": "unknown",
//!         "vocab": {"unknown": 0, "end": 1, "two": 2, "and": 3, "is": 4, "four": 5}}}"#,
//! )?
//! .with_special_tokens(specials)?;
//!
//! let records: Vec<Record> = vec![
//!     Content::completion("two and two is", " four").into(),
//!     Content::Text("four is four".into()).into(),
//! ];
//! let encoded = encode_records(&records, &tokenizer, None, &EncodeOptions::default())?;
//! assert_eq!(encoded.documents[0].tokens, [2, 3, 2, 4, 5, 1]);
//! assert_eq!(encoded.documents[0].weights, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
//!
//! let packed = pack(&encoded.documents, 8, &PackOptions::default())?;
//! assert_eq!(packed.rows[0].segments(), [1, 1, 1, 1, 1, 2, 2, 2]);
//!
//! let mut loader = Loader::new(packed.rows, LoaderOptions::shuffled(1, 17))?;
//! let batch = loader.next_batch(tokenizer.pad_id(), &Default::default()).expect("it is endless");
//! assert_eq!(batch.rows.count(), 5);
//! # Ok(())
//! # }
//! ```

mod align;
mod chat_journal;
mod chat_template;
mod curate;
mod dialogue;
mod document;
mod elicit;
mod encode;
mod error;
mod grouped;
mod held_out;
mod hf_folder;
mod jsonl;
mod loader;
mod pack;
mod pipeline;
mod prompt_template;
mod provenance;
mod record;
#[cfg(test)]
mod sample_tokenizers;
mod stop_strings;
mod table;
mod text_file;
mod token_counts;
mod tokenizer;
mod turn_spans;

pub use align::{AlignedSpan, TokenAligner, TokenAlignment};
pub use chat_journal::ChatJournal;
pub use chat_template::ChatTemplate;
pub use curate::{
    BalanceClasses, ClusterSplit, Contamination, ContaminationReport, Decontaminate,
    HoldOutClusters, KeepDiverse, KeepLanguages, KeepScores, LimitText, MaskPersonalData,
    NearDuplicates, NearDuplicatesOptions, OnContamination, Overlap, RougeL, Shingles, Survivor,
    TextLimits, Wanted, detect_language, mask_personal_data, rouge_l, rouge_tokens,
    split_by_cluster,
};
pub use dialogue::{
    Action, Answer, Contradiction, Coverage, CutOff, DialogueError, DialoguePrompts, Draft, Echo,
    EmptyTurn, FactCoverage, Farewells, Finding, Graded, Guard, KeyFact, Lesson, LessonEnding,
    LessonOptions, Limits, Meandering, Part, Participant, Question, QuizOptions, QuizResult,
    RejectedTurn, Repetition, RoleFlip, Speaker, Syllabus, SyllabusProblem, Topic, Transcript,
    Turn, Unsure, default_guards, draft_syllabus, grade, take_quiz,
};
pub use document::Document;
pub use elicit::{
    AnswerPrompts, AnswerSchema, Asked, CritiqueAndRevise, Elicitor, Evolution, EvolvePrompts,
    ExpandSeeds, ExplanationTraces, LabelRecords, PracticeQuestions, PreferBy, PreferencePairs,
    Rationales, SchemaMismatch, Unanswered, Vote,
};
pub use encode::{
    EncodeOptions, EncodeReport, EncodedRecords, Keep, LossOn, Rejection, encode_record,
    encode_records,
};
pub use error::{ConfigProblem, Error};
pub use grouped::{GroupedRows, TaskPrefixes, encode_preferences, encode_rationales};
pub use held_out::{HeldOutSplit, split_held_out};
pub use jsonl::{JsonlReader, read_jsonl, write_jsonl};
pub use loader::{Loader, LoaderOptions, LoaderState};
pub use pack::{
    PackOptions, PackReport, Packed, PackedStream, Packing, StreamOptions, pack, pack_stream,
};
pub use pipeline::{
    Corpus, Ending, FailureCap, GlobalStage, Manifest, Outcome, Pipeline, PipelineError,
    PipelineOptions, Price, Progress, Rejected, Stage, StageContext, StageError, StageReport,
    Tally, Verdict,
};
pub use prompt_template::{PromptError, PromptTemplate};
pub use provenance::{
    Acceptance, Permission, PermissionSummary, Policy, PolicyError, Provenance, Terms, Violation,
};
pub use record::{Content, Layout, Record, RecordProblem};
pub use stop_strings::StopStrings;
#[cfg(feature = "parquet")]
pub use table::{ParquetReader, ParquetWriter, read_parquet};
pub use table::{RecordReader, RecordWriter, read_records, read_rows};
pub use text_file::{TextSplit, read_text};
pub use token_counts::TokenCounts;
pub use tokenizer::TextTokenizer;
