//! Fused, differentiable tensor operations that burn lacks.
//!
//! Each operation is one function on burn tensors with one hand-written backward pass, and has
//! several bodies:
//!
//! - a **portable** one, composed of burn's operations, which runs on every backend and is what the
//!   others are tested against;
//! - one for **flex** (feature `flex`): multi-threaded, vectorized, one pass over memory.
//!
//! The body is chosen by the device of the tensors. [`use_portable_bodies`] switches the others off,
//! to compare.
//!
//! - [`rms_norm`] normalizes rows.
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

mod attach;
mod bodies;
#[cfg(feature = "flex")]
mod flex;
mod rms_norm;

pub use attach::attach_gradients;
pub use bodies::{portable_bodies, use_portable_bodies};
pub use rms_norm::rms_norm;
