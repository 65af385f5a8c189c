//! Packed token rows on the host.

use crate::{Draw, Rollout};

/// One packed row on the host: documents one after another, each a segment, already shifted.
///
/// `targets[t]` is the token that follows `tokens[t]` in its
/// document. `weights[t]` says how much position `t` counts; 0 means not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenRow {
    tokens: Vec<u32>,
    segments: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    /// How each target was drawn; shorter than the others where no later one was.
    draws: Vec<Option<Draw>>,
}

impl TokenRow {
    /// A row with one document.
    ///
    /// See [`push_document`](Self::push_document).
    ///
    /// # Panics
    ///
    /// Panics if `tokens` and `weights` differ in length.
    #[must_use]
    pub fn document(tokens: &[u32], weights: &[f32]) -> Self {
        let mut row = Self::default();
        row.push_document(tokens, weights);
        row
    }

    /// Appends a document as a new segment.
    ///
    /// `weights[i]` is the weight of *predicting* `tokens[i]`; the shift happens here and nowhere
    /// else, so a document of `n` tokens fills `n - 1` positions and `weights[0]` is never used.
    /// A document of fewer than two tokens has nothing to predict and adds nothing.
    ///
    /// # Panics
    ///
    /// Panics if `tokens` and `weights` differ in length.
    pub fn push_document(&mut self, tokens: &[u32], weights: &[f32]) {
        assert_eq!(
            tokens.len(),
            weights.len(),
            "a document needs one weight for each token"
        );
        let Some(predicted) = tokens.len().checked_sub(1).filter(|&n| n > 0) else {
            return;
        };
        let segment = self.segments.last().map_or(1, |last| last + 1);
        self.tokens.extend_from_slice(&tokens[..predicted]);
        self.targets.extend_from_slice(&tokens[1..]);
        self.weights.extend_from_slice(&weights[1..]);
        self.segments.resize(self.tokens.len(), segment);
    }

    /// Appends what a model wrote as a new segment: its tokens count 1, the prompt does not count.
    ///
    /// # Panics
    ///
    /// Panics if the prompt is empty, or not every token has its draw.
    pub fn push_rollout(&mut self, rollout: &Rollout) {
        let Rollout {
            prompt,
            tokens,
            draws,
            ..
        } = rollout;
        assert!(!prompt.is_empty(), "a rollout continues at least one token");
        assert_eq!(tokens.len(), draws.len(), "each token needs its draw");
        let mut weights = vec![0.0; prompt.len()];
        weights.resize(prompt.len() + tokens.len(), 1.0);
        self.push_document(&[prompt.as_slice(), tokens].concat(), &weights);
        self.draws.resize(self.tokens.len() - tokens.len(), None);
        self.draws.extend(draws.iter().copied().map(Some));
    }

    /// The same row with other weights.
    ///
    /// # Panics
    ///
    /// Panics if there is not one weight for each position.
    #[must_use]
    pub fn with_weights(mut self, weights: Vec<f32>) -> Self {
        assert_eq!(weights.len(), self.len(), "each position needs one weight");
        self.weights = weights;
        self
    }

    /// Number of positions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the row has no position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Number of documents.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.segments.last().map_or(0, |&last| last as usize)
    }

    /// Positions of the longest document: the number of positions a model must support.
    #[must_use]
    pub fn longest_document(&self) -> usize {
        self.segments
            .chunk_by(|a, b| a == b)
            .map(<[u32]>::len)
            .max()
            .unwrap_or(0)
    }

    /// The largest token id that a model reads or, where it counts, predicts.
    #[must_use]
    pub fn largest_token(&self) -> u32 {
        largest_token(&self.tokens, &self.targets, &self.weights)
    }

    /// Token ids that a model reads.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The document of each position, counted from 1.
    #[must_use]
    pub fn segments(&self) -> &[u32] {
        &self.segments
    }

    /// Token ids that a model should predict.
    #[must_use]
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// How much each position counts.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// How the target of position `position` was drawn, where a model wrote it.
    #[must_use]
    pub fn draw(&self, position: usize) -> Option<Draw> {
        self.draws.get(position).copied().flatten()
    }
}

/// The largest id that is read, or predicted with a weight.
pub(super) fn largest_token(tokens: &[u32], targets: &[u32], weights: &[f32]) -> u32 {
    let counted = targets
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight != 0.0)
        .map(|(target, _)| target);
    tokens.iter().chain(counted).max().copied().unwrap_or(0)
}
