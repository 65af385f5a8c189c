//! What can go wrong between asking a teacher and having its answer.

use std::path::PathBuf;

use potstill_core::TeacherError;

use crate::endpoint::{AnswerProblem, BudgetReached};

/// An error of a library below, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a teacher outside this process has no answer.
///
/// No message and no source ever holds an API key, also where a server repeats it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that makes no sense.
    #[error("the endpoint's {field} is {value}; it must be {expected}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its value, or what is wrong with it where it may be secret.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The HTTP client cannot be set up, for example because the system has no root certificates.
    #[error("cannot set up an HTTP client for {server}")]
    Client {
        /// The server's address.
        server: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// Nobody listens at the address.
    #[error("{server} cannot be reached")]
    Unreachable {
        /// The server's address.
        server: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The server took longer than is allowed.
    #[error("{server} did not answer within {seconds} s")]
    TimedOut {
        /// The server's address.
        server: String,
        /// How long was waited.
        seconds: f64,
    },
    /// The connection ended before the answer did.
    #[error("{server} broke off in the middle of an answer")]
    Interrupted {
        /// The server's address.
        server: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// An answer that no sane request has.
    #[error("{server} sends more than {limit} bytes; the limit is `limits.answer_bytes`")]
    TooLarge {
        /// The server's address.
        server: String,
        /// Most bytes that are read.
        limit: usize,
    },
    /// The server says no.
    #[error("{server} refuses the request with status {status}: {message}")]
    Rejected {
        /// The server's address.
        server: String,
        /// HTTP status, or the one inside an error that came with status 200.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The server wants a pause that is longer than allowed.
    #[error(
        "{server} asks to come back in {seconds} s, `retry.longest_retry_after_seconds` allows \
         {longest} s; run again later, what was answered is kept"
    )]
    PauseTooLong {
        /// The server's address.
        server: String,
        /// What it asks for.
        seconds: f64,
        /// What is allowed.
        longest: f64,
    },
    /// Every attempt failed.
    #[error("gave up on {server} after {attempts} attempts")]
    GaveUp {
        /// The server's address.
        server: String,
        /// Requests sent.
        attempts: u32,
        /// How the last one failed.
        #[source]
        last: Box<Self>,
    },
    /// What came back is not an answer to what was asked.
    #[error("{server} sent an answer that cannot be used: {problem}")]
    Answer {
        /// The server's address.
        server: String,
        /// What is wrong with it.
        problem: AnswerProblem,
    },
    /// The server cannot do what is needed.
    #[error("{server} does not support {feature}; {alternative}")]
    Unsupported {
        /// What the server is, and its address.
        server: String,
        /// What is missing, with the name of the field.
        feature: String,
        /// What works instead.
        alternative: String,
    },
    /// An error of the first request concerns the others as well; they were not sent.
    #[error("it was not asked, since the first request failed: {reason}")]
    NotAsked {
        /// What happened to the first one.
        reason: String,
    },
    /// The server fails every request, so that this one was not sent.
    #[error(
        "{failures} requests in a row failed (`retry.failures_in_a_row`), so no other is sent; run \
         again later, what was answered is kept; the last one: {last}"
    )]
    Stopped {
        /// How many failed since the last answer.
        failures: u32,
        /// What happened to the last of them.
        last: String,
    },
    /// A limit on tokens, money or time is reached; nothing was sent.
    #[error("the budget is spent: {0}")]
    Budget(BudgetReached),
    /// The network is off, and the answer is not in the store.
    #[error(
        "{} holds no answer to this request, and replaying sends none: {request} (key {key})",
        path.display()
    )]
    NotRecorded {
        /// The store.
        path: PathBuf,
        /// Where the request goes, and how it begins.
        request: String,
        /// The request's address in the store, in hexadecimal.
        key: String,
    },
    /// The store of answers cannot be read or written.
    #[error("cannot {action} the answer store {}", path.display())]
    Store {
        /// "open", "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The store of answers was changed by something else than this program.
    #[error(
        "the answer store {} is damaged: {damage}; nothing was changed, restore it from a copy or move \
         it away to ask again", path.display()
    )]
    StoreDamaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        damage: String,
    },
    /// The bytes of the student's tokens are not known.
    #[error("the tokens' bytes cannot be told: {reason}")]
    TokenBytes {
        /// What is wrong with the definition, and what would be right.
        reason: String,
    },
    /// The device with the teacher's weights cannot be read, for example because its server is gone.
    #[error("the teacher's device {device} cannot be read")]
    Device {
        /// Its name.
        device: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// A batch that the endpoint cannot be asked about.
    #[error("segment {segment} of the batch cannot be scored: {reason}")]
    Segment {
        /// Index among the segments of the batch.
        segment: usize,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
}

impl From<Error> for TeacherError {
    fn from(error: Error) -> Self {
        Self::Source(Box::new(error))
    }
}
