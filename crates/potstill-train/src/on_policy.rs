//! Learning from what the student writes.
//!
//! Sources of batches, not another trainer: what they hand out are rows like any other, so every
//! teacher that can score a text and every objective goes with them.
//!
//! ```text
//! rows ─▶ prompt, completion ─┬─ the student's lot ─▶ student (or both models) writes ─┬─▶ TokenBatch
//!                             └─ the data's lot ─────────────────────────────────────-─┘
//! ```
//!
//! Of each document of a row, what comes before the first token that counts is the prompt.

mod adaptive_share;
mod health;
mod mixture;
mod passage;
mod replay;
mod replayed_rollouts;
mod rollouts;
mod tally;
mod writer;

pub use adaptive_share::{AdaptiveShare, AdaptiveShareOptions};
pub use health::{HealthLimits, RolloutHealth, RolloutVitals, RolloutWarning};
pub use mixture::{Mixture, StudentShare};
pub use replay::{FreshShare, ReplayOptions};
pub use replayed_rollouts::ReplayedRollouts;
pub use rollouts::Rollouts;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::Error;

/// The random numbers of batch `number`: nothing has to be saved of them.
fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    random
}

fn check(
    setting: &'static str,
    value: impl ToString,
    is_valid: bool,
    expected: &'static str,
) -> Result<(), Error> {
    if is_valid {
        return Ok(());
    }
    Err(Error::Config {
        setting,
        value: value.to_string(),
        expected,
    })
}

fn check_share(setting: &'static str, share: f64) -> Result<f64, Error> {
    let is_valid = (0.0..=1.0).contains(&share);
    check(setting, share, is_valid, "between 0 and 1").map(|()| share)
}
