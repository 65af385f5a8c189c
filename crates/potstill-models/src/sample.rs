//! Choosing the next token.
//!
//! The filters and their order are those of `transformers`:
//!
//! ```text
//! repetition penalty   l ← l / r if l > 0 else l · r, for tokens seen before
//! temperature          l ← l / T
//! top-k                keeps l ≥ the k-th largest, ties included
//! top-p                keeps a token if the tokens likelier than it have less than p together
//! min-p                keeps q ≥ p_min · max q
//! ```
//!
//! Logits that are not finite are never chosen, the likeliest token is always kept, and of two
//! equally likely tokens the one with the smaller id comes first. Arithmetic is f64.

mod filter;
mod stream;

use potstill_core::Sampling;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(crate) use stream::Streams;

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Under the logits as they came: temperature 1, no filter.
    pub(crate) log_prob: f32,
}

/// Chooses the tokens of one sequence.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    /// Prompt and choices, each once; empty where nothing is penalized.
    seen: Vec<u32>,
}

impl Sampler {
    /// A sampler that continues `prompt` with the random numbers of `random`.
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], random: ChaCha8Rng) -> Self {
        let mut seen = Vec::new();
        if sampling.repetition_penalty != 1.0 {
            seen.extend_from_slice(prompt);
            seen.sort_unstable();
            seen.dedup();
        }
        Self {
            sampling,
            random,
            seen,
        }
    }

    /// The next token; `None` if no logit is finite.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<Choice> {
        let raw = |token: u32| f64::from(logits[token as usize]);
        let candidates = self.candidates(logits);
        let token = if self.sampling.temperature == 0.0 {
            filter::likeliest(&candidates)?
        } else {
            let kept = filter::keep(candidates, &self.sampling);
            self.draw(&kept)?
        };
        if self.sampling.repetition_penalty != 1.0
            && let Err(place) = self.seen.binary_search(&token)
        {
            self.seen.insert(place, token);
        }
        let finite = || {
            logits
                .iter()
                .filter(|logit| logit.is_finite())
                .map(|&logit| f64::from(logit))
        };
        let largest = finite().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = finite().map(|logit| (logit - largest).exp()).sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "log-probabilities are f32 everywhere"
        )]
        let log_prob = (raw(token) - largest - total.ln()) as f32;
        Some(Choice { token, log_prob })
    }

    /// Finite logits, penalized, as `(token, logit)` by token.
    fn candidates(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut candidates: Vec<(u32, f64)> = (0..)
            .zip(logits)
            .filter(|(_, logit)| logit.is_finite())
            .map(|(token, &logit)| (token, f64::from(logit)))
            .collect();
        let penalty = self.sampling.repetition_penalty;
        for token in &self.seen {
            if let Ok(place) = candidates.binary_search_by_key(token, |(token, _)| *token) {
                let logit = &mut candidates[place].1;
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
        }
        candidates
    }

    fn draw(&mut self, kept: &[(u32, f64)]) -> Option<u32> {
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.random::<f64>() * total;
        for (token, weight) in kept {
            if left < *weight {
                return Some(*token);
            }
            left -= weight;
        }
        // Rounding can leave a rest behind the last weight.
        kept.iter()
            .rfind(|(_, weight)| *weight > 0.0)
            .map(|(token, _)| *token)
    }
}

#[cfg(test)]
mod tests;
