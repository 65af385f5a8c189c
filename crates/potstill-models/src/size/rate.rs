//! How fast a machine decodes.

use serde::{Deserialize, Serialize};

use super::StoredAs;
use crate::ModelConfig;

/// What decoding one sequence costs on a machine.
///
/// ```text
/// seconds per token = bytes read / bytes_per_second + n_layers · seconds_per_block
/// ```
///
/// Decoding a single sequence is bound by memory: each weight is read once for a token, and used in one
/// multiplication. What does not depend on the size of the weights (small operations, the cache of
/// keys) goes with the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeRate {
    /// Weights read in a second.
    pub bytes_per_second: f64,
    /// What a block costs besides.
    pub seconds_per_block: f64,
}

/// A model whose decoding was timed, for example with `potstill_eval::profile`.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredDecoding {
    /// What the model is.
    pub config: ModelConfig,
    /// How its weights were held while it was timed.
    pub stored: StoredAs,
    /// Time for a token.
    pub seconds_per_token: f64,
}

impl DecodeRate {
    /// The rate that explains the measurements best, relative to each; from a single one, all its
    /// time is reading.
    ///
    /// Measure models of different depth and width: from models of one width alone, reading cannot
    /// be told from what a block costs besides.
    ///
    /// # Panics
    ///
    /// Panics if there is no measurement, or a time is not positive and finite.
    #[must_use]
    pub fn fit(measured: &[MeasuredDecoding]) -> Self {
        assert!(!measured.is_empty(), "a rate needs a measurement");
        // a · bytes + b · blocks = 1, with both as shares of the measured time.
        let points: Vec<(f64, f64)> = measured
            .iter()
            .map(|measured| {
                let seconds = measured.seconds_per_token;
                assert!(
                    seconds.is_finite() && seconds > 0.0,
                    "a token takes time, got {seconds} s"
                );
                let bytes = measured.stored.bytes_per_token(&measured.config);
                (
                    bytes as f64 / seconds,
                    measured.config.n_layers as f64 / seconds,
                )
            })
            .collect();
        let sum = |term: fn(&(f64, f64)) -> f64| points.iter().map(term).sum::<f64>();
        let (xx, xy, yy) = (sum(|p| p.0 * p.0), sum(|p| p.0 * p.1), sum(|p| p.1 * p.1));
        let (x, y) = (sum(|p| p.0), sum(|p| p.1));
        let determinant = xx * yy - xy * xy;
        let (a, b) = (
            (x * yy - y * xy) / determinant,
            (y * xx - x * xy) / determinant,
        );
        // Neither can be negative; measurements that cannot be told apart say nothing of blocks.
        let distinct = determinant > 1e-9 * xx * yy;
        if distinct && a > 0.0 && b >= 0.0 {
            Self {
                bytes_per_second: a.recip(),
                seconds_per_block: b,
            }
        } else {
            Self {
                bytes_per_second: xx / x,
                seconds_per_block: 0.0,
            }
        }
    }

    /// Expected time for a token of a model.
    #[must_use]
    pub fn seconds_per_token(&self, config: &ModelConfig, stored: StoredAs) -> f64 {
        let bytes = stored.bytes_per_token(config) as f64;
        bytes / self.bytes_per_second + config.n_layers as f64 * self.seconds_per_block
    }
}
