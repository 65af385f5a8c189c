//! Which blocks of a teacher a student keeps.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The blocks that a student keeps, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayerChoice {
    /// This many, the first and the last among them, the others evenly between; one is the first.
    ///
    /// ```text
    /// block i of n = round(i · (L − 1) / (n − 1))
    /// ```
    EvenlySpaced(usize),
    /// The first so many.
    First(usize),
    /// The last so many.
    Last(usize),
    /// So many from either end: the middle of a deep model changes its residual stream least.
    Ends {
        /// From the beginning.
        first: usize,
        /// From the end.
        last: usize,
    },
    /// These, in this order.
    Named(Vec<usize>),
}

impl LayerChoice {
    /// The chosen blocks of a model of `n_layers`, in the student's order.
    ///
    /// # Errors
    ///
    /// When nothing is chosen, more than there is, a block that does not exist, or one twice.
    pub fn blocks(&self, n_layers: usize) -> Result<Vec<usize>, Error> {
        let count = match self {
            Self::EvenlySpaced(n) | Self::First(n) | Self::Last(n) => *n,
            Self::Ends { first, last } => first.saturating_add(*last),
            Self::Named(blocks) => blocks.len(),
        };
        if count == 0 || count > n_layers {
            return Err(Error::LayerCount {
                chosen: count,
                n_layers,
            });
        }
        Ok(match self {
            Self::EvenlySpaced(n) => evenly_spaced(*n, n_layers),
            Self::First(n) => (0..*n).collect(),
            Self::Last(n) => (n_layers - n..n_layers).collect(),
            Self::Ends { first, last } => (0..*first).chain(n_layers - last..n_layers).collect(),
            Self::Named(blocks) => {
                for (place, &block) in blocks.iter().enumerate() {
                    if block >= n_layers {
                        return Err(Error::LayerOutOfRange { block, n_layers });
                    }
                    if blocks[..place].contains(&block) {
                        return Err(Error::LayerTwice { block });
                    }
                }
                blocks.clone()
            }
        })
    }
}

/// `n` numbers below `count`, from the first to the last, halves rounded up.
pub(super) fn evenly_spaced(n: usize, count: usize) -> Vec<usize> {
    let gaps = n.saturating_sub(1).max(1);
    (0..n)
        .map(|i| (2 * i * (count - 1) + gaps) / (2 * gaps))
        .collect()
}
