//! Between parameters of a module and named tensors of a checkpoint.
//!
//! There is one mapping, used in both directions: the fields of the modules are called what Hugging
//! Face checkpoints call them, so the path of a parameter is the name of its tensor.

mod init;
mod load;
mod model_source;
mod naming;
mod path;

pub(crate) use init::{initialize, normal_values};
pub(crate) use load::{load_bert_encoder, load_language_model};
pub(crate) use model_source::ModelSource;

use crate::Architecture;
pub(crate) use path::{Kind, ParameterPath};

/// Whether checkpoints hold the transpose of a parameter: `[d_out, d_in]` for a projection, but
/// for GPT-2, whose projections were convolutions once.
fn is_transposed(kind: Kind, architecture: Architecture) -> bool {
    kind == Kind::Projection && architecture != Architecture::Gpt2
}

/// The transpose of a row-major matrix.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    // Tiles that stay in the first-level cache.
    const TILE: usize = 32;
    let mut transposed = vec![0.0; values.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for row in row_tile..rows.min(row_tile + TILE) {
                for column in column_tile..columns.min(column_tile + TILE) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    transposed
}

#[cfg(test)]
mod tests;
