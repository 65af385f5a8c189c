//! What a stage is.

use std::fmt;

use serde_json::Value;

use super::{StageContext, StageError};
use crate::Record;

/// One step from records to records that looks at each record for itself.
///
/// Given the same records, seed and answers of models, it must do the same: its results are kept and
/// found again.
pub trait Stage: Send + Sync {
    /// A short name, for reports and file names.
    fn name(&self) -> &str;

    /// Everything that changes what it does: settings, hashes of prompt templates, names of models.
    fn configuration(&self) -> Value;

    /// What becomes of each record, in order.
    ///
    /// # Errors
    ///
    /// When the stage cannot work at all. A record that it cannot handle is an
    /// [`Outcome::Failed`].
    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError>;

    /// Whether its results cost so much that they are kept on disk right after it, such as those of
    /// a model.
    fn is_costly(&self) -> bool {
        false
    }
}

/// A stage that has to see all records before it can decide on one.
pub trait GlobalStage: Send + Sync {
    /// A short name, for reports and file names.
    fn name(&self) -> &str;

    /// Everything that changes what it does.
    fn configuration(&self) -> Value;

    /// Reads all records, once or several times, and returns what decides on them.
    ///
    /// It must not keep the records: there may be more than memory holds.
    ///
    /// # Errors
    ///
    /// When a record cannot be read back, or the stage cannot work at all.
    fn survey<'a>(
        &'a self,
        corpus: Corpus<'_>,
        context: &StageContext<'_>,
    ) -> Result<Verdict<'a>, StageError>;
}

/// Records on disk, which can be read as often as needed.
#[derive(Clone, Copy)]
pub struct Corpus<'a>(&'a Read<'a>);

type Read<'a> = dyn Fn() -> Box<dyn Iterator<Item = Result<Record, StageError>> + 'a> + 'a;

impl fmt::Debug for Corpus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Corpus")
    }
}

impl<'a> Corpus<'a> {
    /// What `read` reads, which has to be the same every time.
    pub fn new(read: &'a Read<'a>) -> Self {
        Self(read)
    }

    /// All records, in order.
    #[must_use]
    pub fn records(&self) -> Box<dyn Iterator<Item = Result<Record, StageError>> + 'a> {
        (self.0)()
    }
}

/// Decides on each record, given its number in the order of the survey.
pub type Verdict<'a> = Box<dyn FnMut(u64, Record) -> Outcome + 'a>;

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It became these records, at least one.
    Kept(Vec<Record>),
    /// It is not wanted.
    Rejected(Rejected),
    /// It could not be handled this time. The next run tries again.
    Failed(Rejected),
}

impl Outcome {
    /// It goes on as one record.
    #[must_use]
    pub fn kept(record: Record) -> Self {
        Self::Kept(vec![record])
    }

    /// It is not wanted, for a reason that is counted.
    #[must_use]
    pub fn rejected(reason: impl Into<String>, record: Record) -> Self {
        Self::Rejected(Rejected::new(reason, record))
    }

    /// It could not be handled this time, for a reason that is counted.
    #[must_use]
    pub fn failed(reason: impl Into<String>, record: Record) -> Self {
        Self::Failed(Rejected::new(reason, record))
    }
}

/// A record that does not go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The kind of reason, such as "too short": few different ones, for they are counted.
    pub reason: String,
    /// What else is to be said about this record.
    pub detail: Option<String>,
    /// The record as it came in.
    pub record: Box<Record>,
}

impl Rejected {
    /// A record that does not go on.
    #[must_use]
    pub fn new(reason: impl Into<String>, record: Record) -> Self {
        Self {
            reason: reason.into(),
            detail: None,
            record: Box::new(record),
        }
    }

    /// Says more about this record.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
