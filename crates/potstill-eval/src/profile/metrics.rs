//! The numbers of a profile as metrics.

use super::Profile;
use crate::{Better, Metric, Results};

impl Profile {
    /// Each number that is known, by the name under which [`Gates`](crate::Gates) ask for it:
    /// `parameters`, `parameter_bytes`, `disk_bytes`, `own_peak_bytes`, `latency_seconds`,
    /// `first_token_seconds`, `between_tokens_seconds_p95`, `prefill_tokens_per_second`,
    /// `decode_tokens_per_second`, `joules_per_token`, `input_price_per_million`,
    /// `output_price_per_million`.
    #[must_use]
    pub fn metrics(&self) -> Vec<(&'static str, Metric)> {
        let tokens = self.tokens.as_ref();
        let prices = self.prices.as_ref();
        let between = tokens.and_then(|tokens| tokens.between_tokens);
        let count = |count: u64| Some(count as f64);
        let numbers = [
            ("parameters", count(self.parameters), Better::Lower),
            (
                "parameter_bytes",
                count(self.parameter_bytes),
                Better::Lower,
            ),
            ("disk_bytes", self.disk_bytes.and_then(count), Better::Lower),
            (
                "own_peak_bytes",
                self.own_peak_bytes.and_then(count),
                Better::Lower,
            ),
            ("latency_seconds", Some(self.latency_seconds), Better::Lower),
            (
                "first_token_seconds",
                tokens.map(|tokens| tokens.first_token.p50),
                Better::Lower,
            ),
            (
                "between_tokens_seconds_p95",
                between.map(|between| between.p95),
                Better::Lower,
            ),
            (
                "prefill_tokens_per_second",
                Some(self.prefill_tokens_per_second),
                Better::Higher,
            ),
            (
                "decode_tokens_per_second",
                self.decode_tokens_per_second,
                Better::Higher,
            ),
            ("joules_per_token", self.joules_per_token, Better::Lower),
            (
                "input_price_per_million",
                prices.map(|prices| prices.input_per_million),
                Better::Lower,
            ),
            (
                "output_price_per_million",
                prices.map(|prices| prices.output_per_million),
                Better::Lower,
            ),
        ];
        let known = |(name, value, better): (_, Option<f64>, _)| {
            Some((name, Metric::of_value(better, value?)))
        };
        numbers.into_iter().filter_map(known).collect()
    }
}

impl Results {
    /// The same with the [metrics](Profile::metrics) of a profile; a metric that is there already stays.
    #[must_use]
    pub fn with_profile(mut self, profile: &Profile) -> Self {
        for (name, metric) in profile.metrics() {
            self.metrics.entry(name.to_owned()).or_insert(metric);
        }
        self
    }
}
