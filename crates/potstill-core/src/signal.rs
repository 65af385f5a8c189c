//! What a teacher says about a batch.

use burn::prelude::*;

use crate::{LmHead, Tapped};

/// Which tokens a sparse prediction keeps, and what that means for the rest.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one for each batch")]
pub enum Support {
    /// The most likely tokens, descending. The rest of the mass is `tail`.
    TopK {
        /// `log Σ p` over the tokens that were left out, `[rows]`; −∞ when none were.
        tail: Tensor<1>,
    },
    /// Tokens drawn from the teacher, with repetition (random-sampling distillation).
    Sampled,
}

/// The teacher's predictive distribution on the rows that count.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one for each batch")]
pub enum Prediction {
    /// Hidden states and the head that turns them into logits, chunk by chunk.
    Deferred {
        /// `[rows, d_teacher]`.
        hidden: Tensor<2>,
        /// The teacher's head.
        head: LmHead,
    },
    /// Logits, `[rows, vocab]`; −∞ forbids a token.
    Dense(Tensor<2>),
    /// Log-probabilities of a few tokens.
    Sparse {
        /// `[rows, k]`.
        token_ids: Tensor<2, Int>,
        /// True log-probabilities under the whole distribution, `[rows, k]`.
        log_probs: Tensor<2>,
        /// What the `k` tokens are.
        support: Support,
    },
    /// A teacher that only gives text.
    None,
}

impl Prediction {
    /// The prediction over the first `vocab_size` tokens.
    ///
    /// A sparse prediction is returned as it is: it names tokens, and padding is never among the
    /// likely ones. So is one over fewer tokens: only an objective that does not read the prediction
    /// shares more tokens with the student than the teacher has.
    #[must_use]
    pub fn truncated(self, vocab_size: usize) -> Self {
        match self {
            Self::Deferred { hidden, head } if head.vocab_size() > vocab_size => Self::Deferred {
                hidden,
                head: head.truncated(vocab_size),
            },
            Self::Dense(logits) if logits.dims()[1] > vocab_size => {
                Self::Dense(logits.narrow(1, 0, vocab_size))
            }
            other => other,
        }
    }

    /// A short name for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deferred { .. } => "deferred",
            Self::Dense(_) => "dense",
            Self::Sparse { .. } => "sparse",
            Self::None => "none",
        }
    }
}

/// Everything a teacher says about one batch. Never carries autodiff.
#[derive(Clone, Debug)]
pub struct TeacherSignal {
    /// The predictive distribution of each row that counts.
    pub prediction: Prediction,
    /// Hidden states and attention maps that were asked for.
    pub tapped: Tapped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(prediction: &Prediction) -> usize {
        match prediction {
            Prediction::Deferred { head, .. } => head.vocab_size(),
            Prediction::Dense(logits) => logits.dims()[1],
            _ => unreachable!("only whole distributions have a width"),
        }
    }

    #[test]
    fn padding_is_cut_and_nothing_is_made_up() {
        let device = Device::default();
        let zeros = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
        let deferred = Prediction::Deferred {
            hidden: zeros(2, 4),
            head: LmHead::new(zeros(7, 4)),
        };
        for prediction in [deferred, Prediction::Dense(zeros(2, 7))] {
            assert_eq!(width(&prediction.clone().truncated(5)), 5);
            assert_eq!(width(&prediction.truncated(9)), 7);
        }
    }
}
