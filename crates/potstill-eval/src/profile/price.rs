//! What tokens cost on a machine of one's own.

use potstill_teachers::Prices;
use serde::{Deserialize, Serialize};

/// What a machine costs while it runs: rent, or power and wear.
///
/// ```text
/// price of a million tokens = per_hour / 3600 · 10⁶ / tokens per second
/// ```
///
/// with the rates of [`Profile`](crate::Profile) in batches: prefill for what is read, decode for what
/// is written. The machine is taken to do nothing else, and to be busy all the time.
///
/// ```
/// use potstill_eval::MachinePrice;
///
/// let prices = MachinePrice::new(0.36, "EUR").prices(10_000.0, 200.0);
/// assert!((prices.input_per_million - 0.01).abs() < 1e-12);
/// assert!((prices.output_per_million - 0.5).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachinePrice {
    /// Of an hour.
    pub per_hour: f64,
    /// In which currency.
    pub currency: String,
}

impl MachinePrice {
    /// A price for each hour.
    #[must_use]
    pub fn new(per_hour: f64, currency: impl Into<String>) -> Self {
        Self {
            per_hour,
            currency: currency.into(),
        }
    }

    /// What a million tokens cost at these rates.
    #[must_use]
    pub fn prices(&self, prefill_tokens_per_second: f64, decode_tokens_per_second: f64) -> Prices {
        let of_a_million = |rate: f64| self.per_hour / 3600.0 * 1e6 / rate;
        Prices {
            input_per_million: of_a_million(prefill_tokens_per_second),
            output_per_million: of_a_million(decode_tokens_per_second),
            currency: self.currency.clone(),
        }
    }
}
