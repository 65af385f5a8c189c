//! Where a distillation signal comes from.
//!
//! Everything here is a [`potstill_core::Teacher`]: it is asked once for each batch, and what it
//! answers never carries autodiff.
//!
//! - [`ModelTeacher`] runs a causal language model in this process.
//! - [`CacheBuilder`] keeps what any teacher says in a folder, [`CachedTeacher`] reads it in every
//!   epoch after the first.
//! - [`WeightedTeachers`] average several, [`RoutedTeachers`] ask the one that knows about a segment,
//!   [`AlternatingTeachers`] one by lot.
//! - [`SharedTeacher`] is asked by several students and runs once for all of them.
//! - [`EmaTeacher`] follows its student; [`peer_teachers`] and [`PeerGroup`] let students teach each other.
//! - [`EndpointTeacher`] asks a model behind a server; an [`Endpoint`] is also a
//!   [`ChatModel`](potstill_core::ChatModel). Its answers are kept in an [`AnswerStore`].
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

mod cache;
mod endpoint;
mod ensemble;
mod error;
mod model_teacher;
mod moving;
mod no_teacher;
mod peer_group;
mod peers;
mod prediction;
mod routing;
mod segments;
mod shared;
mod store;

pub use cache::{
    CacheBuilder, CacheConfig, CacheError, CachedTeacher, Keep, TeacherIdentity, merge_caches,
};
pub use endpoint::{
    AnswerKey, AnswerProblem, ApiKey, Budget, BudgetReached, Capabilities, CompletionRequest,
    Endpoint, EndpointConfig, EndpointTeacher, Limits, Mode, NextToken, Prices, Prompt, Retry,
    Scoring, ScoringApi, ServerKind, Spending, TokenBytes,
};
pub use ensemble::{
    AlternatingTeachers, AverageSpace, BoxedTeacher, EnsembleError, TeacherWeights,
    WeightedTeachers,
};
pub use error::{BoxError, Error};
pub use model_teacher::ModelTeacher;
pub use moving::{EmaTeacher, EmaUpdater};
pub use no_teacher::{NoTeacher, NothingToTap};
pub use peer_group::{PeerGroup, PeerTurns};
pub use peers::peer_teachers;
pub use routing::{Languages, RoutedTeachers};
pub use shared::SharedTeacher;
pub use store::{AnswerStore, StoredAnswer};
