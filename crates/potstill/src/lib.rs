//! Knowledge distillation for Rust, on [`burn`]: move what a large model knows into a small one that
//! runs on a laptop, a phone or in a browser.
//!
//! This crate gathers the parts under one name and chooses the backends. Each part is a crate of its
//! own and can be used alone.
//!
//! | module | what is inside |
//! |---|---|
//! | [`core`] | the shared words: batches, taps, signals, and the traits between the parts |
//! | [`data`] | records, chat templates, tokenizing, packing, loading |
//! | [`models`] | architectures, checkpoints in and out, deriving a student, generation |
//! | [`teachers`] | where a signal comes from |
//! | [`losses`] | how far the student is from the teacher |
//! | [`train`] | the step, the loop, schedules, checkpoints |
//! | [`eval`] | is the student good, and may it ship: metrics, comparisons, reports, gates, registry |
//!
//! # Feature flags
//!
//! All are additive: one for each backend of burn, of which the device is chosen at run time, and one
//! for a format of files.
//!
//! | feature | what it adds |
//! |---|---|
//! | `flex` (default) | pure-Rust CPU |
//! | `wgpu` | GPUs through WebGPU, Vulkan, Metal or DirectX |
//! | `cuda` | NVIDIA GPUs |
//! | `parquet` (default) | records from and to Parquet files |
//! | `tch` | libtorch; see the project's ADR 0002 for how to point it at an installation |
//! | `remote` | the devices of another machine, and serving this one's; see the example `remote_device` |

pub mod prelude;
mod tokenizer;

pub use burn;
pub use potstill_core as core;
pub use potstill_data as data;
pub use potstill_eval as eval;
pub use potstill_kernels as kernels;
pub use potstill_losses as losses;
pub use potstill_models as models;
pub use potstill_teachers as teachers;
pub use potstill_train as train;
pub use tokenizer::{TokenizerError, checkpoint_tokenizer};

/// The README's programs are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
