//! How far a student is from its teacher: divergences and feature losses on rows.
//!
//! Everything works on the rows that count, `[rows, …]`; there is no mask inside a loss. `p` is the
//! teacher, `q` the student, logarithms are natural, a loss is in nats per token.
//!
//! On the distribution of the next token:
//!
//! - [`Divergence`] compares two distributions: a value and, in closed form, its gradient with
//!   respect to the student's logits. [`CrossEntropy`] compares with the token that follows,
//!   [`Hinton`] and [`Decoupled`] with both; [`LogitMse`], [`Standardized`], [`DistInter`] and
//!   [`Interpolated`] complete the family.
//! - [`HeadRows`] runs any of them, or a [`RowLoss`] of your own, through a language-model head chunk
//!   by chunk, so that `[rows, vocab]` never exists. What is a [`Blend`] of a divergence and
//!   cross-entropy, or sparse, costs little more than its matrix products on the CPU backend.
//! - [`SparseDivergence`] compares with a teacher of which only a few tokens are known,
//!   [`OverlapDivergence`], [`UniversalLogit`] and [`approximate_likelihood`] with one that has another
//!   tokenizer.
//!
//! On inner values: [`hidden_mse`] and its like row by row, [`attention_kl`] and its like on maps,
//! [`self_relation_kl`], [`linear_cka`] and its like on relations. On whole answers: [`dpo`], [`ipo`],
//! [`rank_hinge`], [`rank_plackett_luce`], all of them through [`HeadRows::reduced`] where the
//! log-likelihoods come from a head.
//!
//! On what the student wrote itself: [`SequenceReverseKl`] and [`SampledReverseKl`], policy gradients.
//! The losses on distributions take such text as they take any other.
//!
//! For a training loop there are objectives, each built by its configuration: [`SoftTarget`],
//! [`HardTarget`], [`Hinton`], [`LogitMatch`], [`SparseTarget`], [`HiddenMatch`],
//! [`AttentionMatch`], [`RelationMatch`], [`Preference`]. A tuple of objectives is an objective. How much a row counts
//! is decided by the row weights alone: [`multitask_weights`] makes them from tasks, [`Reweighted`]
//! from what the teacher knows.
//!
//! All but one are sums over rows, so an optimizer step is the same however it is cut into
//! micro-batches. [`RelationMatch`] compares the rows of a micro-batch with each other, as
//! [`dist_intra`] and [`contrastive`] do: there four batches of one are not one batch of four.
//!
//! A configuration read from JSON needs every field that is not an `Option`, defaults included, and
//! ignores a field that it does not know: let code write it, not a hand.
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

mod attention_match;
mod correlation;
mod cross_tokenizer;
mod decoupled;
mod error;
mod feature;
mod hard_target;
mod hidden_match;
mod hinton;
mod interpolated;
mod layer_pairs;
mod logit_match;
mod logit_mse;
mod multitask;
mod overlap;
mod policy;
mod preference;
mod ranking;
mod relation_match;
mod reweighted;
mod soft_target;
mod sparse_target;
mod standardized;

pub use attention_match::{AttentionMatch, AttentionMatchConfig};
pub use correlation::{DistInter, dist_intra};
pub use cross_tokenizer::{UniversalLogit, approximate_likelihood, sum_by_span};
pub use decoupled::Decoupled;
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
pub use layer_pairs::{last_layers, uniform_layers};
pub use logit_match::{LogitLoss, LogitMatch, LogitMatchConfig};
pub use logit_mse::LogitMse;
pub use multitask::multitask_weights;
pub use overlap::{OverlapDivergence, VocabularyOverlap};
pub use policy::sampled_reverse_kl::{SampledReverseKl, SampledReverseKlConfig};
pub use policy::sequence_reverse_kl::{SequenceReverseKl, SequenceReverseKlConfig};
pub use potstill_kernels::{
    Blend, CrossEntropy, Divergence, HardPart, HeadRows, LogitRows, RowLoss, SoftPart,
    SparseDivergence, SparseRows,
};
pub use preference::{PairLogProbs, Preference, PreferenceConfig, PreferenceLoss, dpo, ipo};
pub use ranking::{rank_hinge, rank_plackett_luce};
pub use relation_match::{Relation, RelationMatch, RelationMatchConfig};
pub use reweighted::{Reweighted, RowImportance};
pub use soft_target::{SoftTarget, SoftTargetConfig};
pub use sparse_target::{SparseTarget, SparseTargetConfig};
pub use standardized::Standardized;
