//! Fused, differentiable tensor operations that burn lacks.
//!
//! Each operation is one function on burn tensors with one hand-written backward pass, and has
//! several bodies:
//!
//! - a **portable** one, composed of burn's operations, which runs on every backend and is what the
//!   others are tested against;
//! - one for **flex** (feature `flex`): multi-threaded, vectorized, one pass over memory; libtorch's CPU
//!   tensors (feature `tch`) run most of it in place;
//! - for [`rms_norm`] and for forward KL and cross-entropy through a head, one for **wgpu** and
//!   **CUDA** (features `wgpu`, `cuda`): a kernel written in CubeCL, one cube for each row.
//!
//! Programs that have burn's `fusion` on, as its default features do, get the last ones with the
//! feature `fusion` of this crate.
//!
//! The body is chosen by the device of the tensors. [`use_portable_bodies`] switches the others off,
//! to compare.
//!
//! - [`linear_divergence`] compares a language-model head with a teacher, [`linear_cross_entropy`] with
//!   the tokens that follow, and [`HeadRows`] with whatever a [`RowLoss`] says, chunk by chunk.
//! - [`rms_norm`] and [`layer_norm`] normalize rows.
//! - [`linear`] maps rows, [`activate`] and [`gated`] bend them by an [`Activation`].
//! - [`rotate_halves`] turns queries and keys by their positions.
//! - [`recomputed`] keeps nothing of a part of a model for its backward pass but its input.
//! - [`embedding`] looks rows up.
//! - [`attention`] lets queries see the keys that an [`AttentionMask`] shows them.
//! - [`adamw`] updates a parameter, [`squared_norm`] says how long a gradient is.
//!
//! ```
//! use burn::prelude::*;
//! use potstill_kernels::rms_norm;
//! use potstill_testkit::plain_device;
//!
//! let device = plain_device();
//! let x = Tensor::<2>::from_data([[3.0, 4.0]], &device);
//! let y = rms_norm(x, Tensor::ones([2], &device), 0.0);
//! let expected = [[3.0 / 12.5f32.sqrt(), 4.0 / 12.5f32.sqrt()]];
//! y.into_data().assert_approx_eq(&TensorData::from(expected), burn::tensor::Tolerance::<f32>::default());
//! ```

#![cfg_attr(
    not(any(
        feature = "flex",
        feature = "wgpu",
        feature = "cuda",
        feature = "tch",
        feature = "remote"
    )),
    allow(
        unused_variables,
        reason = "the dispatch of an extension ignores its arguments then"
    )
)]
#![cfg_attr(
    feature = "tch",
    allow(deprecated, reason = "docs/adr/0002-tch-supported.md")
)]

mod activation;
mod adamw;
mod attach;
mod attention;
mod blend;
mod bodies;
#[cfg(test)]
mod check;
mod cross_entropy;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod divergence;
mod embedding;
mod error;
mod head_rows;
#[cfg(feature = "flex")]
mod host;
mod layer_norm;
mod linear;
mod linear_divergence;
pub mod log_space;
mod portable;
mod recompute;
mod rms_norm;
mod rotary;
mod row_loss;
#[cfg(feature = "flex")]
mod row_pass;
mod sparse;
mod squared_norm;

pub use activation::{Activation, activate, gated};
pub use adamw::{AdamWUpdate, adamw};
pub use attach::attach_gradient;
pub use attention::{AttentionMask, AttentionOptions, attention};
pub use blend::{Blend, HardPart, SoftPart};
pub use bodies::{portable_bodies, use_portable_bodies};
pub use cross_entropy::CrossEntropy;
pub use divergence::Divergence;
pub use embedding::embedding;
pub use error::Error;
pub use head_rows::{HeadRows, rows_per_chunk};
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use linear_divergence::{linear_cross_entropy, linear_divergence};
pub use recompute::{Recompute, RecomputedGradients, recomputed};
pub use rms_norm::rms_norm;
pub use rotary::rotate_halves;
pub use row_loss::{LogitRows, RowLoss};
pub use sparse::{SparseDivergence, SparseRows};
pub use squared_norm::squared_norm;
