//! Tokens drawn from a distribution, in as few bytes as they need.
//!
//! ```text
//! ⌈n/8⌉ bytes   how often each token was drawn, in unary: c − 1 zeros and a one
//! 2 bytes       δ = 1/n Σ_i (log p_i − log(c_i / n)) over the n draws, f16
//! then          the different tokens, ascending, in 2, 3 or 4 bytes each
//! ```
//!
//! The number of tokens is the number of ones. What comes back is `log p_i ≈ log(c_i / n) + δ`, so
//! that the mean of log p over the draws, which is all that the estimate of forward KL reads, is
//! exact but for f16; its gradient only reads which tokens were drawn.

use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bits::{BitReader, BitWriter};
use super::keep::RowToKeep;
use super::row_code::{EncodedRow, RowOut};

/// The code of rows with the same number of draws and vocabulary.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampledCode {
    draws: usize,
    seed: u64,
    vocab: usize,
}

impl SampledCode {
    pub(super) fn new(draws: usize, seed: u64, vocab: usize) -> Self {
        Self { draws, seed, vocab }
    }

    pub(super) fn draws(self) -> usize {
        self.draws
    }

    pub(super) fn row_bytes(self) -> usize {
        self.draws.div_ceil(8) + 2
    }

    /// As few bytes as hold any id.
    pub(super) fn id_bytes(self) -> usize {
        match self.vocab - 1 {
            0..=0xffff => 2,
            0x1_0000..=0xff_ffff => 3,
            _ => 4,
        }
    }

    /// Different tokens of a row.
    pub(super) fn unique(self, fixed: &[u8]) -> usize {
        BitReader::new(fixed).ones(0, self.draws).count()
    }

    pub(super) fn encode(self, row: &RowToKeep<'_>) -> EncodedRow {
        let mut uniforms: Vec<f64> = self.generator(row).random_iter().take(self.draws).collect();
        uniforms.sort_unstable_by(f64::total_cmp);
        let drawn = row.log_probs.at(&uniforms);

        let (mut ends, mut token_ids) = (Vec::new(), Vec::new());
        let (mut end, mut shift) = (0, 0.0);
        for run in drawn.chunk_by(|a, b| a == b) {
            end += run.len();
            ends.push(end - 1);
            token_ids.extend_from_slice(&run[0].to_le_bytes()[..self.id_bytes()]);
            let share = run.len() as f64 / self.draws as f64;
            shift += share * (row.log_probs.log_prob(run[0]) - share.ln());
        }
        let mut bits = BitWriter::default();
        bits.push_ones(ends.into_iter(), self.draws);
        let mut fixed = bits.finish();
        fixed.extend_from_slice(&f16::from_f64(shift).to_le_bytes());
        EncodedRow { fixed, token_ids }
    }

    /// A generator of its own for each row, so that no order of rows matters.
    fn generator(self, row: &RowToKeep<'_>) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..24].copy_from_slice(&row.segment.to_le_bytes());
        seed[24..28].copy_from_slice(&row.position.to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }

    pub(super) fn decode(
        self,
        fixed: &[u8],
        token_ids: &[u8],
        out: &mut RowOut<'_>,
    ) -> Result<(), String> {
        let shift = match fixed[self.draws.div_ceil(8)..] {
            [low, high] => f16::from_le_bytes([low, high]).to_f32(),
            _ => f32::NAN,
        };
        if !shift.is_finite() {
            return Err("its mean log-probability is not a number".into());
        }
        let mut start = 0;
        let ends = BitReader::new(fixed).ones(0, self.draws);
        for (end, bytes) in ends.zip(token_ids.chunks_exact(self.id_bytes())) {
            let mut id = [0; 4];
            id[..bytes.len()].copy_from_slice(bytes);
            let id = u32::from_le_bytes(id);
            if id as usize >= self.vocab {
                return Err(format!("it names token {id} of {}", self.vocab));
            }
            let count = end + 1 - start;
            let log_prob = (count as f32 / self.draws as f32).ln() + shift;
            out.token_ids[start..=end].fill(id.cast_signed());
            out.log_probs[start..=end].fill(log_prob);
            start = end + 1;
        }
        if start != self.draws {
            return Err(format!("it holds {start} of {} draws", self.draws));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
