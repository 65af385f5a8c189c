//! When the tokens of an answer come.

use serde::{Deserialize, Serialize};

use crate::bootstrap::quantile;

/// Seconds that half, 95 % and 99 % stay below.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 95 % quantile.
    pub p95: f64,
    /// The 99 % quantile; of less than a hundred values, close to the largest.
    pub p99: f64,
}

impl Quantiles {
    /// The quantiles of `values`, between ranks by linear interpolation; `None` without any.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some(Self {
            p50: quantile(&values, 0.5),
            p95: quantile(&values, 0.95),
            p99: quantile(&values, 0.99),
        })
    }
}

/// How long whoever reads along waits: for the first token, then from each to the next.
///
/// ```text
/// time to first token   arrival of the first token − sending
/// inter-token latency   arrival of a token − arrival of the one before
/// decode rate           Σ (tokens − 1) / Σ (arrival of the last − arrival of the first)
/// ```
///
/// The sums are over answers. These are vLLM's TTFT and ITL; the reciprocal of the decode rate is its
/// TPOT, but averaged over tokens instead of answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLatency {
    /// Seconds to the first token.
    pub first_token: Quantiles,
    /// Seconds from a token to the next; `None` where every answer is a single token.
    pub between_tokens: Option<Quantiles>,
    /// Tokens each second after the first, of one answer at a time.
    pub decode_tokens_per_second: Option<f64>,
    /// Number of answers.
    pub answers: usize,
    /// Number of tokens.
    pub tokens: usize,
}

impl TokenLatency {
    /// The latency of `answers`: for each, the seconds from sending its prompt to each of its tokens,
    /// ascending. Answers without a token are left out; `None` if all are.
    ///
    /// Whoever talks to a server gives the times at which the pieces of a stream came, empty ones left
    /// out, if the server sends a piece a token.
    ///
    /// ```
    /// use potstill_eval::TokenLatency;
    ///
    /// let found = TokenLatency::of(&[vec![0.5, 0.6, 0.7], vec![0.3, 0.5]]).unwrap();
    /// assert!((found.first_token.p50 - 0.4).abs() < 1e-12);
    /// assert!((found.between_tokens.unwrap().p50 - 0.1).abs() < 1e-12);
    /// assert!((found.decode_tokens_per_second.unwrap() - 3.0 / 0.4).abs() < 1e-9);
    /// ```
    #[must_use]
    pub fn of(answers: &[Vec<f64>]) -> Option<Self> {
        let first: Vec<f64> = answers.iter().filter_map(|a| a.first().copied()).collect();
        let gaps: Vec<f64> = answers
            .iter()
            .flat_map(|arrivals| arrivals.windows(2).map(|pair| pair[1] - pair[0]))
            .collect();
        let waited: f64 = gaps.iter().sum();
        let rate = (waited > 0.0).then(|| gaps.len() as f64 / waited);
        Some(Self {
            answers: first.len(),
            tokens: first.len() + gaps.len(),
            first_token: Quantiles::of(first)?,
            between_tokens: Quantiles::of(gaps),
            decode_tokens_per_second: rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_tokens_say_nothing_and_single_tokens_only_how_soon() {
        assert_eq!(TokenLatency::of(&[vec![], vec![]]), None);
        let found = TokenLatency::of(&[vec![], vec![0.25]]).unwrap();
        assert_eq!((found.answers, found.tokens), (1, 1));
        assert_eq!(found.first_token.p99, 0.25);
        assert_eq!(found.between_tokens, None);
        assert_eq!(found.decode_tokens_per_second, None);
    }

    #[test]
    fn a_slow_token_shows_in_the_upper_quantiles_only() {
        let mut answer: Vec<f64> = (1..=199).map(|token| 0.01 * f64::from(token)).collect();
        answer.push(answer[198] + 1.0);
        let gaps = TokenLatency::of(&[answer]).unwrap().between_tokens.unwrap();
        assert!((gaps.p50 - 0.01).abs() < 1e-9 && (gaps.p95 - 0.01).abs() < 1e-9);
        assert!(gaps.p99 > 0.01, "{gaps:?}");
    }
}
