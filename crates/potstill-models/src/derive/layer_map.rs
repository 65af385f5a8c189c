//! Which hidden state of a teacher a student's stands for.

use serde::{Deserialize, Serialize};

use super::layer_choice::evenly_spaced;

/// Pairs of hidden states, student's and teacher's.
///
/// Numbered as in [`Taps`](potstill_core::Taps): 0 after the embeddings, `i` after block `i` counted
/// from 1, the last one after the final norm. Embeddings always stand for embeddings and the last
/// for the last, since those two are what the rest of either model reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMap {
    pairs: Vec<(usize, usize)>,
}

impl LayerMap {
    /// The map of a student made of these blocks, counted from 0, of a teacher of `n_layers`.
    pub(super) fn of_blocks(blocks: &[usize], n_layers: usize) -> Self {
        let inner = blocks
            .iter()
            .enumerate()
            .map(|(i, &block)| (i + 1, block + 1));
        let mut pairs: Vec<(usize, usize)> = std::iter::once((0, 0)).chain(inner).collect();
        if let Some(last) = pairs.last_mut() {
            last.1 = n_layers;
        }
        Self { pairs }
    }

    /// Every hidden state of a student of `student_layers` blocks, spread over those of a teacher.
    ///
    /// A student deeper than its teacher shares some of the teacher's.
    #[must_use]
    pub fn evenly_spaced(student_layers: usize, teacher_layers: usize) -> Self {
        let teacher = evenly_spaced(student_layers + 1, teacher_layers + 1);
        Self {
            pairs: teacher.into_iter().enumerate().collect(),
        }
    }

    /// `(student hidden state, teacher hidden state)`, ascending in the student's.
    #[must_use]
    pub fn pairs(&self) -> &[(usize, usize)] {
        &self.pairs
    }

    /// The teacher's hidden state for one of the student's.
    #[must_use]
    pub fn teacher_of(&self, student: usize) -> Option<usize> {
        self.pairs
            .iter()
            .find(|(known, _)| *known == student)
            .map(|(_, teacher)| *teacher)
    }

    /// The pairs between embeddings and last, which is where hints usually attach.
    #[must_use]
    pub fn inner(&self) -> &[(usize, usize)] {
        match self.pairs.as_slice() {
            [_, inner @ .., _] => inner,
            _ => &[],
        }
    }
}
