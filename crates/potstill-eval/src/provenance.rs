//! Where the numbers of a report come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What someone needs to get the same numbers again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command that did it all.
    pub command: String,
    /// The seed of the run.
    pub seed: Option<u64>,
    /// When the run ended, in RFC 3339.
    pub finished_at: Option<String>,
    /// Operating system, architecture and number of threads.
    pub machine: String,
    /// Versions of the software, by name.
    pub versions: BTreeMap<String, String>,
    /// The whole configuration of the run.
    pub config: Value,
}

impl Provenance {
    /// The provenance of what `command` did on this machine with this version of Potstill.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
        let versions = [("potstill".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        Self {
            command: command.into(),
            seed: None,
            finished_at: None,
            machine: format!("{os} {architecture}, {threads} threads"),
            versions: versions.into(),
            config: Value::Null,
        }
    }
}
