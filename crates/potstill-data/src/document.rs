//! Token ids with weights.

/// Token ids and how much predicting each of them counts. Both have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// `weights[i]` belongs to predicting `tokens[i]`; nothing predicts the first token.
    pub weights: Vec<f32>,
    /// Tokens that were cut off.
    pub cut: usize,
}

impl Document {
    /// A whole document.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` and `weights` differ in length.
    #[must_use]
    pub fn new(tokens: Vec<u32>, weights: Vec<f32>) -> Self {
        assert_eq!(
            tokens.len(),
            weights.len(),
            "a document needs one weight for each token"
        );
        Self {
            tokens,
            weights,
            cut: 0,
        }
    }

    /// Number of tokens that are predicted with a weight.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.weights
            .iter()
            .skip(1)
            .filter(|weight| **weight != 0.0)
            .count()
    }
}
