//! What a gate compares with.

use std::error::Error as _;
use std::path::Path;

use crate::Results;

/// What stands behind the name of a baseline.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// Stored results.
    Results(Box<Results>),
    /// An alias that points nowhere yet.
    Unset,
    /// Nothing that can be read, and why.
    Unreadable(String),
}

impl Baseline {
    /// The results in a file; `name` is relative to `folder`.
    #[must_use]
    pub fn of_file(folder: &Path, name: &str) -> Self {
        if name.starts_with('@') {
            return Self::Unreadable(format!("{name} is an alias, and no registry was given"));
        }
        match Results::read(folder.join(name)) {
            Ok(results) => Self::Results(Box::new(results)),
            Err(error) => {
                let cause = error.source().map(|cause| format!(": {cause}"));
                Self::Unreadable(format!("{error}{}", cause.unwrap_or_default()))
            }
        }
    }
}
