//! Rows as bytes, whatever is kept of them.

use half::f16;

use super::keep::RowToKeep;
use super::sampled::SampledCode;
use super::top_k::TopKCode;

/// How rows are written as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowCode {
    Dense { vocab: usize },
    TopK(TopKCode),
    Sampled(SampledCode),
}

/// A row as bytes: a part that has the same length in every row, and one that has not.
#[derive(Debug, Default)]
pub(super) struct EncodedRow {
    pub(super) fixed: Vec<u8>,
    pub(super) token_ids: Vec<u8>,
}

/// Where a decoded row goes.
#[derive(Debug)]
pub(super) struct RowOut<'a> {
    /// One each, `[width]`; `[0]` for dense rows.
    pub(super) token_ids: &'a mut [i32],
    /// `[width]`.
    pub(super) log_probs: &'a mut [f32],
    /// `[1]` for the top k, else `[0]`.
    pub(super) tail: &'a mut [f32],
}

impl RowOut<'_> {
    /// The first row, of so many token ids, log-probabilities and tails, and the others.
    pub(super) fn split(self, [token_ids, log_probs, tail]: [usize; 3]) -> (Self, Self) {
        let (first_ids, token_ids) = self.token_ids.split_at_mut(token_ids);
        let (first_log_probs, log_probs) = self.log_probs.split_at_mut(log_probs);
        let (first_tail, tail) = self.tail.split_at_mut(tail);
        let first = Self {
            token_ids: first_ids,
            log_probs: first_log_probs,
            tail: first_tail,
        };
        let rest = Self {
            token_ids,
            log_probs,
            tail,
        };
        (first, rest)
    }
}

impl RowCode {
    /// Name, safetensors dtype and length of a row of the fixed part.
    pub(super) fn fixed(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Dense { vocab } => ("log_probs", "F16", vocab),
            Self::TopK(code) => ("top_k", "U8", code.row_bytes()),
            Self::Sampled(code) => ("draws", "U8", code.row_bytes()),
        }
    }

    /// Bytes of the fixed part of a row.
    pub(super) fn fixed_bytes(self) -> usize {
        let (_, dtype, length) = self.fixed();
        length * if dtype == "F16" { 2 } else { 1 }
    }

    /// Bytes of a token id in the variable part, for rows that have one.
    pub(super) fn id_bytes(self) -> Option<usize> {
        match self {
            Self::Sampled(code) => Some(code.id_bytes()),
            _ => None,
        }
    }

    /// Token ids in the variable part of a row.
    pub(super) fn ids_of(self, fixed: &[u8]) -> usize {
        match self {
            Self::Sampled(code) => code.unique(fixed),
            _ => 0,
        }
    }

    /// Log-probabilities of a decoded row.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Dense { vocab } => vocab,
            Self::TopK(code) => code.k(),
            Self::Sampled(code) => code.draws(),
        }
    }

    /// Token ids and tails of a decoded row.
    pub(super) fn named(self) -> [usize; 2] {
        match self {
            Self::Dense { .. } => [0, 0],
            Self::TopK(code) => [code.k(), 1],
            Self::Sampled(code) => [code.draws(), 0],
        }
    }

    pub(super) fn encode(self, row: &RowToKeep<'_>) -> EncodedRow {
        match self {
            Self::Dense { .. } => EncodedRow {
                fixed: row
                    .log_probs
                    .iter()
                    .flat_map(|value| f16::from_f32(value).to_le_bytes())
                    .collect(),
                token_ids: Vec::new(),
            },
            Self::TopK(code) => EncodedRow {
                fixed: code.encode(row.log_probs),
                token_ids: Vec::new(),
            },
            Self::Sampled(code) => code.encode(row),
        }
    }

    /// Reads a row back; `scratch` is only there to be used again.
    ///
    /// # Errors
    ///
    /// What is wrong, when the bytes are not those of a row.
    pub(super) fn decode(
        self,
        fixed: &[u8],
        token_ids: &[u8],
        out: &mut RowOut<'_>,
        scratch: &mut Vec<u32>,
    ) -> Result<(), String> {
        match self {
            Self::Dense { .. } => {
                for (value, bytes) in out.log_probs.iter_mut().zip(fixed.as_chunks().0) {
                    *value = f16::from_le_bytes(*bytes).to_f32();
                }
                let bad = |value: &f32| value.is_nan() || *value == f32::INFINITY;
                if out.log_probs.iter().any(bad) {
                    return Err("a log-probability is not a number".into());
                }
                Ok(())
            }
            Self::TopK(code) => code.decode(fixed, out, scratch),
            Self::Sampled(code) => code.decode(fixed, token_ids, out),
        }
    }
}
