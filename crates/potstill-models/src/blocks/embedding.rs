//! A table of vectors.

use burn::module::Param;
use burn::prelude::*;
use potstill_kernels::embedding;

use super::deferred;

/// One vector for each token, position or token type; also a head, read the other way.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    weight: Param<Tensor<2>>,
}

impl Embedding {
    pub(crate) fn new(rows: usize, d_model: usize, device: &Device) -> Self {
        Self {
            weight: deferred([rows, d_model], device),
        }
    }

    /// Looks vectors up.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    #[must_use]
    pub(crate) fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(self.weight.val(), ids)
    }

    /// A table from its rows, `[rows, d_model]`.
    pub(crate) fn of_table(table: Tensor<2>) -> Self {
        Self {
            weight: Param::from_tensor(table),
        }
    }

    /// A table of some of the rows, with a parameter of its own.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[kept]`
    #[must_use]
    pub(crate) fn of_rows(&self, rows: Tensor<1, Int>) -> Self {
        Self::of_table(self.table().detach().select(0, rows))
    }

    /// The table itself, `[rows, d_model]`.
    #[must_use]
    pub(crate) fn table(&self) -> Tensor<2> {
        self.weight.val()
    }
}
