//! Gradient checks, tolerances, tiny models and fixture readers for Potstill's own tests.
//!
//! Never a dependency of a library: it brings the CPU backend with it, so that a crate whose tests
//! use it has a device.
//!
//! ```
//! use burn::prelude::*;
//! use potstill_testkit::assert_gradient;
//!
//! assert_gradient(|x: Tensor<1>| x.clone().mul(x).sum(), &[1.0, -2.0, 0.5], [3]);
//! ```

mod device;
mod fixture;
mod gradient;
mod nested;
mod random;
mod scripted_chat;
mod table_lm;
mod tensor;
mod tiny_lm;
mod tolerance;

pub use device::{autodiff_device, plain_device};
pub use fixture::{FeatureCase, LogitCase, LossParams, read_json, read_safetensors};
pub use gradient::{assert_gradient, autodiff_gradient, finite_differences};
pub use nested::NestedArray;
pub use random::{logits, normals, uniforms};
pub use scripted_chat::ScriptedChat;
pub use table_lm::TableLm;
pub use tensor::{tensor, tensor_f64, values};
pub use tiny_lm::{TinyBlock, TinyLm};
pub use tolerance::{Tolerance, assert_close, largest_excess};
