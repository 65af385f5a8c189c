//! How far a student is from its teacher: divergences and feature losses on rows.
//!
//! Everything works on the rows that count, `[rows, …]`; there is no mask inside a loss. `p` is the
//! teacher, `q` the student, logarithms are natural, a loss is in nats per token.
//!
//! - [`Divergence`] compares two distributions: a value and, in closed form, its gradient with
//!   respect to the student's logits. [`CrossEntropy`] compares with the token that follows.
//! - [`HeadRows`] runs any [`RowLoss`] through a language-model head chunk by chunk, so that
//!   `[rows, vocab]` never exists.
//! - [`SoftTarget`], [`HardTarget`], [`Hinton`] and [`HiddenMatch`] are objectives for a training
//!   loop, each built by its configuration.
//!
//! # Examples
//!
//! Distillation with a Jensen–Shannon divergence, some cross-entropy, and hidden states of a narrower
//! student pulled towards every second layer of the teacher:
//!
//! ```
//! use burn::prelude::*;
//! use potstill_core::{CausalLm, Objective, ObjectiveInput, Prediction, StudentView};
//! use potstill_core::{TeacherSignal, TokenBatch, TokenRow};
//! use potstill_losses::{
//!     Divergence, HardTargetConfig, HiddenMatchConfig, SoftTargetConfig,
//! };
//! use potstill_testkit::{TinyLm, autodiff_device, plain_device};
//!
//! let objective = (
//!     SoftTargetConfig::new(Divergence::generalized_jsd(0.5)?).with_temperature(2.0).init()?,
//!     HardTargetConfig::new().with_weight(0.1).init()?,
//!     HiddenMatchConfig::new(vec![(1, 2), (2, 4)], 8, 16).init(&autodiff_device())?,
//! );
//!
//! let teacher = TinyLm::new(32, 16, 4, 1, &plain_device());
//! let student = TinyLm::new(32, 8, 2, 2, &autodiff_device());
//! let row = TokenRow::document(&[3, 1, 4, 1, 5], &[1.0; 5]);
//! let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
//! let (student_taps, teacher_taps) = objective.taps();
//! let said = teacher.encode(&batch, &teacher_taps);
//! let signal = TeacherSignal {
//!     prediction: Prediction::Deferred {
//!         hidden: batch.rows.select(said.hidden),
//!         head: teacher.head(),
//!     },
//!     tapped: said.tapped,
//! };
//! let encoded = student.encode(&batch, &student_taps);
//! let view = StudentView {
//!     hidden: batch.rows.select(encoded.hidden),
//!     head: student.head(),
//!     tapped: encoded.tapped,
//! };
//! let mut terms = Vec::new();
//! objective.terms(ObjectiveInput { student: &view, teacher: &signal, batch: &batch }, &mut terms);
//! let loss = terms
//!     .iter()
//!     .map(|term| term.sum.clone() * term.weight)
//!     .reduce(|total, term| total + term)
//!     .expect("three terms");
//! let gradients = (loss / batch.rows.total_weight()).backward();
//! # let _ = gradients;
//! # Ok::<(), potstill_losses::Error>(())
//! ```

mod adaptive;
mod correlation;
mod cross_entropy;
mod cross_tokenizer;
mod decoupled;
mod divergence;
mod error;
mod feature;
mod hard_target;
mod hidden_match;
mod hinton;
mod interpolated;
mod linear;
mod log_space;
mod logit_match;
mod logit_mse;
mod preference;
mod ranking;
mod row_loss;
mod soft_target;
mod sparse;
mod sparse_target;
mod standardized;

pub use correlation::{DistInter, dist_intra};
pub use cross_entropy::CrossEntropy;
pub use cross_tokenizer::{UniversalLogit, approximate_likelihood, sum_by_span};
pub use decoupled::Decoupled;
pub use divergence::Divergence;
pub use error::Error;
pub use feature::{
    VariationalInformation, VariationalInformationConfig, attention_kl, attention_mse,
    attention_transfer, contrastive, hidden_cosine, hidden_mse, hidden_normalized_mse, linear_cka,
    rkd_angle, rkd_distance, self_relation_kl, similarity_preserving,
};
pub use hard_target::{HardTarget, HardTargetConfig};
pub use hidden_match::{HiddenDistance, HiddenMatch, HiddenMatchConfig};
pub use hinton::{Hinton, HintonConfig};
pub use interpolated::{Interpolated, InterpolationSchedule};
pub use linear::HeadRows;
pub use logit_match::{LogitLoss, LogitMatch, LogitMatchConfig};
pub use logit_mse::LogitMse;
pub use preference::{PairLogProbs, dpo, ipo};
pub use ranking::{rank_hinge, rank_plackett_luce};
pub use row_loss::{LogitRows, RowLoss};
pub use soft_target::{SoftTarget, SoftTargetConfig};
pub use sparse::{SparseDivergence, SparseRows};
pub use sparse_target::{SparseTarget, SparseTargetConfig};
pub use standardized::Standardized;
