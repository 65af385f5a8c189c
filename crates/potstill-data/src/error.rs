//! What can go wrong between a file of text and a batch.

use std::path::PathBuf;

use potstill_core::Role;

use crate::{EncodeReport, RecordProblem};

/// Why text could not be turned into batches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A JSON schema that cannot be used.
    #[error("this is not a usable JSON schema: {problem}")]
    AnswerSchema {
        /// What is wrong, and where in the schema.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// "open", "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file or a line of one is not UTF-8.
    #[error("{}:{line}: the text is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line that no sane record fills.
    #[error(
        "{}:{line}: the line is longer than {limit} bytes; is this really one record a line? \
         The limit can be raised", path.display()
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Most bytes that are read.
        limit: usize,
    },
    /// A line that is not a record.
    #[error("{}:{line}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: Box<RecordProblem>,
    },
    /// A row of a table that is not a record.
    #[error("{}, row {row}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// What is wrong with it.
        problem: Box<RecordProblem>,
    },
    /// A table that cannot be read.
    #[error("{}, row {row} cannot be read", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The row or line, from 1.
        row: usize,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row that no sane record fills.
    #[error("{}, row {row}: the record is longer than {limit} bytes", path.display())]
    RowTooLong {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// Most bytes that are read.
        limit: usize,
    },
    /// A Parquet file cannot be read or written.
    #[error("cannot {action} {} as Parquet", path.display())]
    Parquet {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What `parquet` says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A Parquet file, and no code for it.
    #[error("{} is a Parquet file; the feature \"parquet\" of potstill-data reads and writes it", path.display())]
    WithoutParquet {
        /// The file.
        path: PathBuf,
    },
    /// A file whose format is not known.
    #[error(
        "the name of {} does not say what it is; records are read from .jsonl, .ndjson, .json and \
         .parquet, and written to all of these but .json", path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file of answers that another process writes to.
    #[error("{} is in use by another run; give each its own", path.display())]
    JournalInUse {
        /// The file.
        path: PathBuf,
    },
    /// A file without a record.
    #[error("{} holds no record; a corpus needs at least one", path.display())]
    EmptyCorpus {
        /// The file.
        path: PathBuf,
    },
    /// A configuration file is not what it should be.
    #[error("{} is not valid: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ConfigProblem,
    },
    /// A tokenizer definition that cannot be used.
    #[error("{origin} is not a usable tokenizer definition")]
    TokenizerDefinition {
        /// The file, or where else the definition comes from.
        origin: String,
        /// What `tokenizers` says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tokenizer refuses a text or a sequence of ids.
    #[error("the tokenizer cannot {action} this input")]
    Tokenizing {
        /// "encode" or "decode".
        action: &'static str,
        /// What `tokenizers` says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model has fewer embeddings than its tokenizer has ids.
    #[error(
        "the tokenizer has {tokenizer} tokens, but the model only {model}: this tokenizer belongs to \
         another model"
    )]
    TokenizerDoesNotFit {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the model's embedding table.
        model: usize,
    },
    /// An end-of-text token is asked for, but none is known.
    #[error(
        "the tokenizer names no end-of-text token to append; set `SpecialTokens::eos` or switch \
         `append_eos` off"
    )]
    NoEndOfText,
    /// A special token that the tokenizer lacks.
    #[error("the {role} token {token:?} is not in the tokenizer's vocabulary")]
    UnknownSpecialToken {
        /// "bos", "eos", "pad" or "unk".
        role: &'static str,
        /// The token.
        token: String,
    },
    /// An id to keep that the vocabulary lacks.
    #[error("token {id} is to be kept, but the tokenizer, of {size} tokens, has none with that id")]
    NoSuchToken {
        /// The id.
        id: u32,
        /// Ids of the tokenizer.
        size: usize,
    },
    /// A smaller vocabulary without a token that the tokenizer itself needs.
    #[error(
        "token {old_id} stands for the unknown or is put around every text, but is not kept; keep \
         what `tokens_to_keep` names"
    )]
    NeededTokenNotKept {
        /// Its id in the full vocabulary.
        old_id: u32,
    },
    /// BPE whose tokens say where in a word they stand.
    #[error("tokens with {key} {affix:?} cannot be derived; supported is BPE without affixes")]
    TokenAffix {
        /// The key of the definition.
        key: &'static str,
        /// Its value.
        affix: String,
    },
    /// A token that a smaller tokenizer does not find under its new id.
    #[error(
        "token {new_id} of the smaller tokenizer is {found:?} where {expected:?} was expected; the \
         definition numbers its tokens in a way that cannot be followed"
    )]
    TokenMoved {
        /// The new id.
        new_id: u32,
        /// The token with this id.
        found: Option<String>,
        /// The token that should have it.
        expected: Option<String>,
    },
    /// A chat template that is not a template.
    #[error("the chat template does not parse")]
    TemplateSyntax(#[source] minijinja::Error),
    /// A chat template that fails on a conversation.
    #[error("the chat template fails on this conversation")]
    TemplateRender(#[source] minijinja::Error),
    /// A chat template that refuses a conversation, in its own words.
    #[error("the chat template refuses this conversation: {message}")]
    TemplateRefused {
        /// What the template says (`raise_exception`).
        message: String,
    },
    /// Messages, but no template to render them.
    #[error("the record is a conversation, and there is no chat template to render it")]
    NoTemplate,
    /// A turn cannot be found in the rendered conversation.
    #[error(
        "cannot tell which part of the rendered conversation is message {index} ({}): the chat \
         template changes it or shows it twice; use a template with {{% generation %}} blocks, or \
         count every token", role.as_str()
    )]
    TurnNotFound {
        /// Index of the message.
        index: usize,
        /// Who speaks.
        role: Role,
    },
    /// A document with fewer than two tokens.
    #[error("the record has {tokens} tokens; there is nothing to predict")]
    TooShort {
        /// Its tokens.
        tokens: usize,
    },
    /// A record lacks the second text that it is to be learned with.
    #[error("the record has no text under meta.{key}")]
    NoCounterpart {
        /// Where it should be.
        key: &'static str,
    },
    /// A document of which no token counts.
    #[error("no token of the record counts towards the loss")]
    NothingCounts,
    /// A document whose tokens that count were cut away.
    #[error("cutting the record to {max_tokens} tokens leaves none that counts towards the loss")]
    CutAway {
        /// Most tokens of a document.
        max_tokens: usize,
    },
    /// Nothing of a corpus is left.
    #[error("none of the records can be used: {report}")]
    AllRejected {
        /// How many went where.
        report: Box<EncodeReport>,
    },
    /// Rows that cannot hold anything, or windows that do not advance.
    #[error(
        "rows of {seq_len} positions with an overlap of {overlap}: the overlap must be smaller"
    )]
    RowLength {
        /// Positions of a row.
        seq_len: usize,
        /// Positions that windows of a long document share.
        overlap: usize,
    },
    /// A loader that could never yield a batch.
    #[error(
        "{rows} rows with batches of {batch_size} (drop_last = {drop_last}) yield no batch; the batch \
         size must be at least 1 and no larger than the number of rows"
    )]
    NoBatch {
        /// Rows of the data set.
        rows: usize,
        /// Rows of a batch.
        batch_size: usize,
        /// Whether an incomplete batch is dropped.
        drop_last: bool,
    },
    /// A saved position that belongs to other rows.
    #[error(
        "the saved position belongs to other data (fingerprint {saved}, this data has {found}); \
         continue with the rows that the run began with"
    )]
    OtherData {
        /// Fingerprint in the saved position.
        saved: String,
        /// Fingerprint of the loader's rows.
        found: String,
    },
    /// A saved position behind the end of the data.
    #[error("the saved position is row {cursor} of an epoch, but an epoch has {rows} rows")]
    CursorBeyondEnd {
        /// The position.
        cursor: usize,
        /// Rows of an epoch.
        rows: usize,
    },
    /// A stop string that every text contains.
    #[error("stop string {index} is empty; it would stop at once")]
    EmptyStopString {
        /// Index of the string.
        index: usize,
    },
    /// A share that is none.
    #[error("the held-out share is {share}, it must be between 0 and 1")]
    HeldOutShare {
        /// The value.
        share: f64,
    },
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// It is not JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A key holds something else than expected.
    #[error("{key:?} must be {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
    #[cfg(feature = "parquet")]
    pub(crate) fn parquet<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Parquet {
            action,
            path,
            source: source.into(),
        }
    }
}
