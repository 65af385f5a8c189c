//! Which inner values a forward pass returns.

use burn::prelude::*;

/// The hidden states and attention maps that an [`Objective`](crate::Objective) wants to see.
///
/// Hidden states are numbered as `transformers` numbers them: 0 is the output of the embeddings,
/// `i` the residual stream after block `i` (counted from 1), and the last one is taken after the
/// final norm. Attention maps are numbered by block, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taps {
    hidden: Vec<usize>,
    attention: Vec<usize>,
}

impl Taps {
    /// Taps the hidden states `layers`.
    #[must_use]
    pub fn hidden(layers: impl IntoIterator<Item = usize>) -> Self {
        Self {
            hidden: sorted(layers),
            attention: Vec::new(),
        }
    }

    /// Taps the attention maps of the blocks `layers`.
    #[must_use]
    pub fn attention(layers: impl IntoIterator<Item = usize>) -> Self {
        Self {
            hidden: Vec::new(),
            attention: sorted(layers),
        }
    }

    /// Everything that either asks for.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        Self {
            hidden: sorted(self.hidden.into_iter().chain(other.hidden.iter().copied())),
            attention: sorted(
                self.attention
                    .into_iter()
                    .chain(other.attention.iter().copied()),
            ),
        }
    }

    /// Whether hidden state `layer` is tapped.
    #[must_use]
    pub fn wants_hidden(&self, layer: usize) -> bool {
        self.hidden.binary_search(&layer).is_ok()
    }

    /// Whether the attention map of block `layer` is tapped.
    #[must_use]
    pub fn wants_attention(&self, layer: usize) -> bool {
        self.attention.binary_search(&layer).is_ok()
    }

    /// The tapped hidden states, ascending.
    #[must_use]
    pub fn hidden_layers(&self) -> &[usize] {
        &self.hidden
    }

    /// The tapped attention maps, ascending.
    #[must_use]
    pub fn attention_layers(&self) -> &[usize] {
        &self.attention
    }

    /// The first tap that a model of `n_layers` blocks cannot serve, as (kind, layer, highest).
    #[must_use]
    pub fn out_of_range(&self, n_layers: usize) -> Option<(&'static str, usize, usize)> {
        let hidden = self.hidden.last().filter(|&&layer| layer > n_layers);
        let attention = self.attention.last().filter(|&&layer| layer >= n_layers);
        hidden
            .map(|&layer| ("hidden state", layer, n_layers))
            .or(attention.map(|&layer| ("attention map", layer, n_layers.saturating_sub(1))))
    }
}

fn sorted(layers: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut layers: Vec<usize> = layers.into_iter().collect();
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// Values kept for the [`Taps`] of a forward pass.
#[derive(Clone, Debug, Default)]
pub struct Tapped {
    /// `(layer, hidden state [batch, seq, d_model])`, ascending.
    pub hidden: Vec<(usize, Tensor<3>)>,
    /// `(block, attention probabilities [batch, n_heads, seq, seq])`, ascending.
    pub attention: Vec<(usize, Tensor<4>)>,
}

impl Tapped {
    /// The hidden state of `layer`.
    ///
    /// # Panics
    ///
    /// Panics if `layer` was not tapped.
    #[must_use]
    pub fn hidden(&self, layer: usize) -> Tensor<3> {
        let found = self.hidden.iter().find(|(tapped, _)| *tapped == layer);
        found
            .unwrap_or_else(|| panic!("hidden state {layer} was not tapped"))
            .1
            .clone()
    }

    /// The attention map of block `layer`.
    ///
    /// # Panics
    ///
    /// Panics if `layer` was not tapped.
    #[must_use]
    pub fn attention(&self, layer: usize) -> Tensor<4> {
        let found = self.attention.iter().find(|(tapped, _)| *tapped == layer);
        found
            .unwrap_or_else(|| panic!("attention map {layer} was not tapped"))
            .1
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_sorted_and_has_no_duplicates() {
        let taps = Taps::hidden([5, 1])
            .union(&Taps::hidden([1, 3]))
            .union(&Taps::attention([2]));
        assert_eq!(taps.hidden_layers(), [1, 3, 5]);
        assert_eq!(taps.attention_layers(), [2]);
        assert!(taps.wants_hidden(3) && !taps.wants_hidden(2));
        assert!(taps.wants_attention(2) && !taps.wants_attention(5));
    }

    #[test]
    fn hidden_states_count_one_more_than_attention_maps() {
        assert_eq!(Taps::hidden([3]).out_of_range(3), None);
        assert_eq!(
            Taps::hidden([4]).out_of_range(3),
            Some(("hidden state", 4, 3))
        );
        assert_eq!(Taps::attention([2]).out_of_range(3), None);
        assert_eq!(
            Taps::attention([3]).out_of_range(3),
            Some(("attention map", 3, 2))
        );
    }
}
