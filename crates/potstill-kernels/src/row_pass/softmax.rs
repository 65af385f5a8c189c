//! From logits to log-probabilities.

use super::passes::{largest, sums};
use crate::host::exp;

/// Log-probabilities this far below the likeliest token count as this, as in the portable bodies.
pub(super) const FLOOR: f32 = crate::log_space::FLOOR as f32;

/// What makes a logit of a row a log-probability.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normalizer {
    largest: f32,
    inverse_temperature: f32,
    log_total: f32,
}

impl Normalizer {
    /// For values that are log-probabilities already.
    pub(super) const IDENTITY: Self = Self {
        largest: 0.0,
        inverse_temperature: 1.0,
        log_total: 0.0,
    };

    /// Knows the largest logit and not yet the total.
    #[inline(always)]
    pub(super) fn relative_to_largest(logits: &[f32], inverse_temperature: f32) -> Self {
        Self {
            largest: largest(logits),
            inverse_temperature,
            log_total: 0.0,
        }
    }

    #[inline(always)]
    pub(super) fn of(logits: &[f32], inverse_temperature: f32) -> Self {
        let shifted = Self::relative_to_largest(logits, inverse_temperature);
        let [total] = sums(
            logits,
            #[inline(always)]
            |logit| [probability(shifted.log_probability(logit))],
        );
        shifted.with_total(total)
    }

    #[inline(always)]
    pub(super) fn with_total(self, total: f64) -> Self {
        Self {
            log_total: total.ln() as f32,
            ..self
        }
    }

    /// At least [`FLOOR`]; NaN stays NaN, so that a diverged model shows.
    #[inline(always)]
    pub(super) fn log_probability(self, logit: f32) -> f32 {
        let shifted = (logit - self.largest) * self.inverse_temperature;
        let bounded = if shifted < FLOOR { FLOOR } else { shifted };
        bounded - self.log_total
    }
}

/// `e^x`, exactly 0 where that is below the smallest normal number.
#[inline(always)]
pub(super) fn probability(x: f32) -> f32 {
    if x < -87.33 { 0.0 } else { exp(x) }
}
