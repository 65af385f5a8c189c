//! The parts of a teacher that a student takes over.

use super::LayerChoice;
use crate::{Error, ModelConfig};

/// Blocks, heads, neurons and channels of a teacher, as [`Importance::keep`](crate::Importance::keep)
/// chooses them.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptParts {
    pub(super) teacher: ModelConfig,
    pub(super) blocks: Vec<usize>,
    /// Of every block of the teacher; all of them without.
    pub(super) heads: Option<Vec<KeptHeads>>,
    /// Of every block of the teacher; all of them without.
    pub(super) neurons: Option<Vec<Vec<usize>>>,
    pub(super) channels: Option<KeptChannels>,
}

/// The heads that a block keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptHeads {
    /// Query heads, equally many of each key head that is kept.
    pub(super) queries: Vec<usize>,
    /// Key heads.
    pub(super) keys: Vec<usize>,
}

/// The channels of the residual stream that a student keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptChannels {
    pub(super) channels: Vec<usize>,
    /// What the scale of each norm of the teacher is multiplied with.
    ///
    /// ```text
    /// sqrt(share of the squared length that is kept · d_teacher / d_student)
    /// ```
    ///
    /// A norm divides by the mean square, which changes with the channels that it is taken over. With
    /// this factor the kept channels leave a norm as they did before, on average; exactly so where
    /// those that go are zero.
    pub(super) norm_scales: Vec<f64>,
}

impl KeptParts {
    /// Every part of a model.
    pub(super) fn all(teacher: &ModelConfig) -> Self {
        Self {
            teacher: teacher.clone(),
            blocks: (0..teacher.n_layers).collect(),
            heads: None,
            neurons: None,
            channels: None,
        }
    }

    /// These parts with other blocks.
    ///
    /// # Errors
    ///
    /// When the teacher does not have [them](LayerChoice::blocks).
    pub fn with_blocks(self, choice: &LayerChoice) -> Result<Self, Error> {
        Ok(Self {
            blocks: choice.blocks(self.teacher.n_layers)?,
            ..self
        })
    }

    /// The blocks that are kept, counted from 0.
    #[must_use]
    pub fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    /// The neurons that a block of the teacher keeps; `None` for all.
    #[must_use]
    pub fn neurons(&self, block: usize) -> Option<&[usize]> {
        Some(self.neurons.as_ref()?.get(block)?)
    }

    /// The query heads that a block of the teacher keeps; `None` for all.
    #[must_use]
    pub fn heads(&self, block: usize) -> Option<&[usize]> {
        Some(&self.heads.as_ref()?.get(block)?.queries)
    }

    /// The channels of the residual stream that are kept; `None` for all.
    #[must_use]
    pub fn channels(&self) -> Option<&[usize]> {
        Some(&self.channels.as_ref()?.channels)
    }

    /// The configuration of a model that has only these parts.
    pub(super) fn config(&self) -> ModelConfig {
        let teacher = &self.teacher;
        let mut config = ModelConfig {
            n_layers: self.blocks.len(),
            ..teacher.clone()
        };
        if let Some(channels) = self.channels() {
            config.d_model = channels.len();
        }
        if let Some(heads) = self.heads.as_ref().and_then(|blocks| blocks.first()) {
            (config.n_heads, config.n_kv_heads) = (heads.queries.len(), heads.keys.len());
        }
        if let Some(neurons) = self.neurons(0) {
            config.d_ff = neurons.len();
        }
        // Some configurations list a property of every block.
        for value in config.extra.values_mut() {
            if let Some(list) = value
                .as_array_mut()
                .filter(|list| list.len() == teacher.n_layers)
            {
                *list = self
                    .blocks
                    .iter()
                    .map(|&block| list[block].clone())
                    .collect();
            }
        }
        config
    }
}
