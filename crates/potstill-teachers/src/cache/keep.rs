//! What is kept of a distribution.

use serde::{Deserialize, Serialize};

use super::CacheError;
use super::log_probs::LogProbs;
use super::row_code::RowCode;
use super::sampled::SampledCode;
use super::top_k::TopKCode;

/// What a cache keeps of the teacher's distribution on each row.
///
/// A temperature cannot be applied to a sparse prediction afterwards, so that all of them are kept at
/// temperature 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Keep {
    /// Every log-probability, in f16.
    Dense,
    /// The likeliest tokens and the mass of all others.
    ///
    /// Token ids are kept exactly. The mass of all others is an f16 logarithm, and the named
    /// log-probabilities lie on an even grid between the largest and the smallest of them; what comes
    /// back sums to 1.
    TopK {
        /// How many tokens.
        k: usize,
        /// Bits of each log-probability, 2 to 16.
        log_prob_bits: usize,
    },
    /// Tokens drawn from the distribution, with repetition.
    ///
    /// Forward KL to them is unbiased, value and gradient. The draws depend on the seed and the text
    /// alone, not on the order in which it is read. Anshumann et al., *Sparse Logit Sampling*,
    /// arXiv:2503.16870.
    Sampled {
        /// How many draws.
        draws: usize,
        /// Seed of the draws.
        seed: u64,
    },
}

impl Keep {
    /// The `k` likeliest tokens and the tail, 5 bits for each log-probability: 109 bytes a row for
    /// k = 50 of 49,152 tokens.
    #[must_use]
    pub fn top_k(k: usize) -> Self {
        Self::TopK {
            k,
            log_prob_bits: 5,
        }
    }

    /// Bytes of a distribution over `vocab` tokens; `None` for draws, which take as many as they are
    /// different.
    ///
    /// # Errors
    ///
    /// When the setting does not fit the vocabulary.
    pub fn row_bytes(self, vocab: usize) -> Result<Option<usize>, CacheError> {
        let code = self.code(vocab)?;
        Ok(code.id_bytes().is_none().then(|| code.fixed_bytes()))
    }

    /// How rows over `vocab` tokens are written.
    pub(super) fn code(self, vocab: usize) -> Result<RowCode, CacheError> {
        let within = |setting, value, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            let accepted = format!("from {least} to {most}");
            Err(CacheError::Setting {
                setting,
                value,
                accepted,
            })
        };
        within("the size of the vocabulary", vocab, 1, 1 << 31)?;
        Ok(match self {
            Self::Dense => RowCode::Dense { vocab },
            Self::TopK { k, log_prob_bits } => RowCode::TopK(TopKCode::new(
                within("k", k, 1, vocab.min(1 << 16))?,
                within("log_prob_bits", log_prob_bits, 2, 16)?,
                vocab,
            )),
            Self::Sampled { draws, seed } => RowCode::Sampled(SampledCode::new(
                within("draws", draws, 1, 1 << 16)?,
                seed,
                vocab,
            )),
        })
    }
}

/// A row to be kept: its distribution and what it is found by.
#[derive(Debug)]
pub(super) struct RowToKeep<'a> {
    pub(super) log_probs: &'a LogProbs,
    pub(super) segment: u128,
    pub(super) position: u32,
}
