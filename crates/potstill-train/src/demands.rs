//! What data asks of a model.

use potstill_core::{CausalLm, TokenBatch, TokenRow};

use crate::Error;

/// What batches ask of the models that read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Positions of the longest segment.
    pub longest_segment: usize,
    /// Largest token id.
    pub largest_token: u32,
}

impl Demands {
    /// The demands of batches that are padded with `pad_token`.
    #[must_use]
    pub fn of_rows(rows: &[TokenRow], pad_token: u32) -> Self {
        let rows = rows.iter().map(|row| Self {
            longest_segment: row.longest_document(),
            largest_token: row.largest_token().max(pad_token),
        });
        rows.fold(Self::default(), Self::union)
    }

    /// The demands of ready-made batches.
    #[must_use]
    pub fn of_batches(batches: &[TokenBatch]) -> Self {
        let batches = batches.iter().map(|batch| Self {
            longest_segment: batch.longest_segment(),
            largest_token: batch.largest_token(),
        });
        batches.fold(Self::default(), Self::union)
    }

    fn union(self, other: Self) -> Self {
        Self {
            longest_segment: self.longest_segment.max(other.longest_segment),
            largest_token: self.largest_token.max(other.largest_token),
        }
    }

    /// Whether the models can read the data.
    pub(crate) fn check<S: CausalLm>(
        self,
        student: &S,
        teacher_positions: Option<usize>,
    ) -> Result<(), Error> {
        for (model, max_positions) in [
            ("student", Some(student.max_positions())),
            ("teacher", teacher_positions),
        ] {
            if let Some(max_positions) = max_positions.filter(|&max| self.longest_segment > max) {
                return Err(Error::DataTooLong {
                    length: self.longest_segment,
                    model,
                    max_positions,
                });
            }
        }
        check_token(self.largest_token, student)
    }
}

/// Whether the student's vocabulary holds `token`, the largest of the data.
pub(crate) fn check_token<S: CausalLm>(token: u32, student: &S) -> Result<(), Error> {
    let vocab_size = student.vocab_size();
    if (token as usize) < vocab_size {
        Ok(())
    } else {
        Err(Error::UnknownToken { token, vocab_size })
    }
}
