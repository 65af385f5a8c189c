//! The k likeliest tokens and the tail, in as few bytes as they need.
//!
//! ```text
//! bits  16         log of the tail's mass, f16
//!        8         c: the named log-probabilities span c/8 nats
//!   k · bits       level of each, from 0 (the largest) to L = 2^bits − 1 (the smallest)
//!   k · l          low l bits of the token ids, ascending       l = ⌊log₂(vocab / k)⌋
//!   k + ⌊(vocab−1)/2^l⌋  the high bits in unary: id i has a one at bit (id >> l) + i
//! ```
//!
//! and zeros up to a whole byte. The last two are the code of Elias and Fano, which takes at most
//! half a bit a token more than any code of the set must. A row has the same length whatever it says,
//! so that any row of a file is found by its number.
//!
//! ```text
//! log p_i = log(1 − tail) − s_i − log Σ_j exp(−s_j),   s_i = level_i · c / (8 L)
//! ```
//!
//! A grid that is even in log p spreads the error so that `KL ≈ Δ²/24` with `Δ = c / (8 L)`. With
//! c = 255 the last level is −∞: a token that is forbidden, or 31.8 nats below the likeliest.

use half::f16;

use super::bits::{BitReader, BitWriter};
use super::log_probs::LogProbs;
use super::row_code::RowOut;

const TAIL_BITS: usize = 16;
const SPAN_BITS: usize = 8;

/// Steps of the span in a nat.
const SPAN_STEPS: f64 = 8.0;

/// The code of rows with the same k and vocabulary.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopKCode {
    k: usize,
    vocab: usize,
    level_bits: usize,
    low_bits: usize,
}

impl TopKCode {
    /// A code for `k` of `vocab` tokens.
    pub(super) fn new(k: usize, level_bits: usize, vocab: usize) -> Self {
        Self {
            k,
            vocab,
            level_bits,
            low_bits: (vocab / k).ilog2() as usize,
        }
    }

    pub(super) fn k(self) -> usize {
        self.k
    }

    pub(super) fn row_bytes(self) -> usize {
        (self.highs_start() + self.highs()).div_ceil(8)
    }

    fn lows_start(self) -> usize {
        TAIL_BITS + SPAN_BITS + self.k * self.level_bits
    }

    fn highs_start(self) -> usize {
        self.lows_start() + self.k * self.low_bits
    }

    fn highs(self) -> usize {
        self.k + ((self.vocab - 1) >> self.low_bits)
    }

    fn last_level(self) -> u32 {
        (1 << self.level_bits) - 1
    }

    pub(super) fn encode(self, row: &LogProbs) -> Vec<u8> {
        let (mut ids, tail) = row.top(self.k);
        let (first, last) = (row.log_prob(ids[0]), row.log_prob(ids[self.k - 1]));
        let span = ((first - last) * SPAN_STEPS).ceil().min(255.0);
        let levels_per_nat = f64::from(self.last_level()) * SPAN_STEPS / span.max(1.0);
        let level = |id: u32| {
            let level = ((first - row.log_prob(id)) * levels_per_nat).round();
            level.min(f64::from(self.last_level())) as u32
        };
        ids.sort_unstable();

        let mut bits = BitWriter::default();
        // However little is named, the log of what is left must not be rounded to 0.
        let tail = f16::from_f64(tail).min(-f16::MIN_POSITIVE_SUBNORMAL);
        bits.push(tail.to_bits().into(), TAIL_BITS);
        bits.push(span as u32, SPAN_BITS);
        for &id in &ids {
            bits.push(level(id), self.level_bits);
        }
        for &id in &ids {
            bits.push(id, self.low_bits);
        }
        let high = |(i, &id): (usize, &u32)| (id as usize >> self.low_bits) + i;
        bits.push_ones(ids.iter().enumerate().map(high), self.highs());
        bits.finish()
    }

    /// Reads a row back; `scratch` is only there to be used again.
    pub(super) fn decode(
        self,
        row: &[u8],
        out: &mut RowOut<'_>,
        scratch: &mut Vec<u32>,
    ) -> Result<(), String> {
        let bits = BitReader::new(row);
        let tail = f16::from_bits(bits.get(0, TAIL_BITS) as u16).to_f32();
        if tail.is_nan() || tail >= 0.0 {
            return Err(format!("a tail has the log-probability {tail}"));
        }
        let span = bits.get(TAIL_BITS, SPAN_BITS);

        scratch.clear();
        // Level, then place in the row: sorted, they are the tokens by falling probability.
        scratch.extend((0..self.k).map(|i| {
            let start = TAIL_BITS + SPAN_BITS + i * self.level_bits;
            bits.get(start, self.level_bits) << 16 | i as u32
        }));
        scratch.sort_unstable();
        for (i, one) in bits
            .ones(self.highs_start(), self.highs())
            .take(self.k)
            .enumerate()
        {
            let low = bits.get(self.lows_start() + i * self.low_bits, self.low_bits);
            scratch.push(((one - i) << self.low_bits) as u32 | low);
        }
        let (order, ids) = scratch.split_at(self.k);
        if ids.len() != self.k {
            return Err(format!("it names {} of {} tokens", ids.len(), self.k));
        }
        if ids.iter().any(|&id| id as usize >= self.vocab) {
            return Err(format!("it names a token beyond the {}", self.vocab));
        }

        let step = span as f32 / (SPAN_STEPS as f32 * self.last_level() as f32);
        let below = |level: u32| {
            if span == 255 && level == self.last_level() {
                f32::INFINITY
            } else {
                level as f32 * step
            }
        };
        let mut total = 0.0;
        let (mut level, mut mass) = (0, 1.0);
        let places = out.token_ids.iter_mut().zip(&mut *out.log_probs);
        for (&key, (id, log_prob)) in order.iter().zip(places) {
            let next = key >> 16;
            *log_prob = -below(next);
            if next != level {
                (level, mass) = (next, log_prob.exp());
            }
            total += f64::from(mass);
            *id = ids[(key & 0xffff) as usize].cast_signed();
        }
        let log_mass = ((-f64::from(tail).exp_m1()).ln() - total.ln()) as f32;
        for log_prob in &mut *out.log_probs {
            // A single token far down, which only foreign bytes say, is certain: rounded, 1e-7 more.
            *log_prob = (*log_prob + log_mass).min(0.0);
        }
        out.tail[0] = tail;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
