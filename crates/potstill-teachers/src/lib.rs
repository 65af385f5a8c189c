//! Where a distillation signal comes from.
//!
//! Everything here is a [`potstill_core::Teacher`]: it is asked once for each batch, and what it
//! answers never carries autodiff.
//!
//! - [`ModelTeacher`] runs a causal language model in this process.
//! - [`NoTeacher`] says nothing, for objectives that only read labels.
//!
//! ```
//! use potstill_core::{Prediction, Taps, Teacher, TokenBatch, TokenRow};
//! use potstill_teachers::ModelTeacher;
//! use potstill_testkit::{TinyLm, plain_device};
//!
//! let device = plain_device();
//! let mut teacher = ModelTeacher::new(&TinyLm::new(11, 8, 2, 0, &device));
//!
//! // The second token is predicted, the third is not.
//! let row = TokenRow::document(&[3, 1, 4], &[0.0, 1.0, 0.0]);
//! let batch = TokenBatch::from_rows(&[row], 0, &device);
//! let signal = teacher.signal(&batch, &Taps::hidden([1]))?;
//!
//! let Prediction::Deferred { hidden, head } = signal.prediction else { unreachable!() };
//! assert_eq!(head.logits(hidden).dims(), [1, 11]);
//! assert_eq!(signal.tapped.hidden(1).dims(), [1, 2, 8]);
//! # Ok::<(), potstill_core::TeacherError>(())
//! ```

mod model_teacher;
mod no_teacher;

pub use model_teacher::ModelTeacher;
pub use no_teacher::{NoTeacher, NothingToTap};
