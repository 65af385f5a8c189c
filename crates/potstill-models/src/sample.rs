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
//! equally likely tokens the one with the smaller id comes first. Filters compute in f64; sums over the
//! whole vocabulary, for log-probabilities and where nothing is filtered, add f32 exponentials.

mod filter;
mod softmax;
mod stream;

use potstill_core::Sampling;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(crate) use softmax::Likeliest;
pub(crate) use stream::Streams;

/// Temperature below which the differences of logits are divided in f64.
const LEAST_TEMPERATURE: f64 = 1e-3;

/// Log-probability of `token` under logits as they come; −∞ if none is finite.
pub(crate) fn log_prob(logits: &[f32], token: u32) -> f32 {
    Likeliest::of(logits).map_or(f32::NEG_INFINITY, |likeliest| {
        likeliest.log_prob(logits[token as usize])
    })
}

/// A chosen token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Its log-probability under the logits as they came: temperature 1, no filter.
    pub log_prob: f32,
}

/// Chooses the tokens of one sequence, for decoding loops other than
/// [`Generate`](potstill_core::Generate)'s.
///
/// ```
/// use potstill_core::Sampling;
/// use potstill_models::Sampler;
///
/// let mut sampler = Sampler::seeded(Sampling::greedy(), &[3, 1], 17, 0);
/// let choice = sampler.choose(&[0.0, 0.5, f32::NEG_INFINITY]).expect("some logits are finite");
/// assert_eq!(choice.token, 1);
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
    /// Prompt and choices, each once; empty where nothing is penalized.
    seen: Vec<u32>,
}

impl Sampler {
    /// A sampler that continues `prompt` with the random numbers that `Generate` takes for the
    /// occurrence number `repetition`, from 0, of this prompt in a call with `seed`. They depend on
    /// nothing else.
    #[must_use]
    pub fn seeded(sampling: Sampling, prompt: &[u32], seed: u64, repetition: u64) -> Self {
        Self::new(sampling, prompt, stream::stream(seed, prompt, repetition))
    }

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

    /// The next token, given the logits of the whole vocabulary; `None` if none is finite.
    pub fn choose(&mut self, logits: &[f32]) -> Option<Choice> {
        let likeliest = Likeliest::of(logits)?;
        let penalized = self.sampling.repetition_penalty != 1.0;
        let token = if self.sampling.temperature == 0.0 {
            if penalized {
                filter::likeliest(&self.candidates(logits))?
            } else {
                likeliest.token
            }
        } else if penalized || self.filters() {
            let kept = filter::keep(self.candidates(logits), &self.sampling);
            self.draw(&kept)?
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
            let temperature = self.sampling.temperature as f32;
            let share = self.random.random();
            softmax::draw(logits, likeliest.logit, temperature, share)?
        };
        if penalized && let Err(place) = self.seen.binary_search(&token) {
            self.seen.insert(place, token);
        }
        let log_prob = likeliest.log_prob(logits[token as usize]);
        Some(Choice { token, log_prob })
    }

    /// Whether some tokens are left out, or need more care than f32 takes.
    fn filters(&self) -> bool {
        let Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.sampling;
        top_k.is_some() || top_p.is_some() || min_p.is_some() || temperature < LEAST_TEMPERATURE
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
