//! Where the numbers of a report come from.

use std::collections::BTreeMap;

use jiff::Timestamp;
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

    /// The same of a run that ends now, in UTC.
    #[must_use]
    pub fn finished_now(mut self) -> Self {
        self.finished_at = Some(whole_seconds(Timestamp::now()));
        self
    }
}

/// A time without fractions of a second, which older readers do not expect.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_a_time_that_others_can_read() {
        let before = Timestamp::now().as_second();
        let provenance = Provenance::new("cargo run").finished_now();
        let finished_at: Timestamp = provenance.finished_at.unwrap().parse().unwrap();
        assert!((before..before + 60).contains(&finished_at.as_second()));
    }
}
