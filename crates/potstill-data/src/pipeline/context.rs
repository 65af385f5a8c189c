//! What a stage may use.

use std::fmt;
use std::sync::Mutex;

use jiff::Timestamp;
use potstill_core::Usage;
use serde::{Deserialize, Serialize};

/// Requests and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests to models.
    pub requests: u64,
    /// Tokens that they read.
    pub prompt_tokens: u64,
    /// Tokens that they wrote.
    pub completion_tokens: u64,
    /// Requests whose tokens are not known.
    pub without_usage: u64,
}

impl Tally {
    /// Adds what another tally counted.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.without_usage += other.without_usage;
    }
}

/// What tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// A million tokens that are read.
    pub prompt_per_million: f64,
    /// A million tokens that are written.
    pub completion_per_million: f64,
}

impl Price {
    /// What a tally costs; unknown if some of its tokens are.
    #[must_use]
    pub fn of(&self, tally: Tally) -> Option<f64> {
        (tally.without_usage == 0).then(|| {
            let millions = |tokens: u64| tokens as f64 / 1e6;
            millions(tally.prompt_tokens) * self.prompt_per_million
                + millions(tally.completion_tokens) * self.completion_per_million
        })
    }
}

/// What a stage may use besides its records.
pub struct StageContext<'a> {
    seed: u64,
    clock: &'a dyn Fn() -> Timestamp,
    tally: Mutex<Tally>,
}

impl fmt::Debug for StageContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageContext")
            .field("seed", &self.seed)
            .field("tally", &self.tally())
            .finish_non_exhaustive()
    }
}

impl<'a> StageContext<'a> {
    /// A context, for using a stage without a pipeline.
    pub fn new(seed: u64, clock: &'a dyn Fn() -> Timestamp) -> Self {
        Self {
            seed,
            clock,
            tally: Mutex::default(),
        }
    }

    /// Seed of what the stage draws for these records. It depends on the pipeline's seed, the stage
    /// and the content of the chunk, and not on the order of chunks.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time, from the pipeline's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Counts a request to a model.
    pub fn count(&self, usage: Option<Usage>) {
        let request = Tally {
            requests: 1,
            prompt_tokens: usage.map_or(0, |usage| usage.prompt_tokens),
            completion_tokens: usage.map_or(0, |usage| usage.completion_tokens),
            without_usage: u64::from(usage.is_none()),
        };
        self.tally
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .add(request);
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self
            .tally
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
