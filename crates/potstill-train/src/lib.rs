//! The training step, the loop, schedules and checkpoints.
//!
//! [`step`] is the mathematics, in one function that can be read and called by itself. [`Trainer`]
//! is the loop around it:
//!
//! ```text
//! BatchSource ─▶ micro-batches ─▶ step ─▶ log ─▶ evaluation ─▶ checkpoint ─▶ Callback
//! ```
//!
//! - [`TrainerConfig`] says how; it reads from JSON and refuses unknown keys.
//! - [`BatchSource`] says on what. It may look at the student, so on-policy training is a source:
//!   [`Rollouts`] of the student, mixed with data as in GKD (its λ is a [`StudentShare`]), and
//!   [`ReplayedRollouts`] with an [`AdaptiveShare`] as in DistiLLM; [`RolloutHealth`] watches both.
//!   [`Curriculum`] begins with what is easy, [`MultitaskBatches`] gives tasks their shares.
//! - [`Schedule`] and [`AdamWConfig`] say how fast.
//! - [`Callback`] observes; [`Progress`] is one for people.
//!
//! ```
//! use potstill_core::{TokenBatch, TokenRow};
//! use potstill_losses::{Divergence, SoftTarget};
//! use potstill_teachers::ModelTeacher;
//! use potstill_testkit::{TinyLm, plain_device};
//! use potstill_train::{FixedBatches, Trainer, TrainerConfig};
//!
//! let device = plain_device();
//! let row = TokenRow::document(&[3, 1, 4, 1, 5, 9, 2, 6], &[1.0; 8]);
//! let batch = TokenBatch::from_rows(&[row], 0, &device);
//!
//! let teacher = ModelTeacher::new(&TinyLm::new(11, 8, 2, 0, &device));
//! let student = TinyLm::new(11, 4, 1, 1, &device);
//! let objective = SoftTarget::new(Divergence::ForwardKl);
//! let config = TrainerConfig { learning_rate: 1e-2, ..TrainerConfig::steps(20) };
//!
//! let source = FixedBatches::new(vec![batch]);
//! let mut trainer = Trainer::new(config, student, objective, teacher, source)?;
//! assert_eq!(trainer.run()?.steps, 20);
//! let student = trainer.student();
//! # let _ = student;
//! # Ok::<(), potstill_train::Error>(())
//! ```
//!
//! With [`Trainer::start_in`] a run keeps its log, its checkpoints and its best student in a folder;
//! with [`Trainer::continue_in`] it goes on after an interruption, bit for bit as if there had been
//! none.
//!
//! Several runs make a course: [`Trainer::finish_in`] runs stages one after the other (hints, then logits; one
//! generation after another), [`run_together`] runs students side by side (one teacher for all of them,
//! or none but each other).

mod batch_on_host;
mod callback;
mod checkpoint;
mod config;
mod contribution;
mod curriculum;
#[cfg(all(feature = "dashboard", unix))]
mod dashboard;
mod demands;
mod distiller;
mod durable;
mod ending;
mod error;
mod evaluate;
mod failed;
mod flops;
mod gradients;
mod identity;
mod memory;
mod metrics;
mod multitask;
mod on_policy;
mod optimizer;
mod parallel;
mod progress;
mod run_folder;
mod samples;
mod schedule;
mod source;
mod stages;
mod step;
mod tensorboard;
#[cfg(test)]
mod testing;
mod together;
mod trainer;
mod vitals;

pub use callback::{Callback, Event, Flow, Outcome, StopReason};
pub use config::{EarlyStop, Length, TrainerConfig};
pub use curriculum::{Curriculum, CurriculumOptions, row_losses};
#[cfg(all(feature = "dashboard", unix))]
pub use dashboard::Dashboard;
pub use demands::Demands;
pub use distiller::Distiller;
pub use ending::{EndReason, Ended, Fate};
pub use error::{BoxError, Error};
pub use evaluate::{Best, Metrics, Watch};
pub use failed::FailedStep;
pub use flops::{ModelFlops, measured_peak};
pub use multitask::MultitaskBatches;
pub use on_policy::{
    AdaptiveShare, AdaptiveShareOptions, FreshShare, HealthLimits, Mixture, ReplayOptions,
    ReplayedRollouts, RolloutHealth, RolloutVitals, RolloutWarning, Rollouts, StudentShare,
};
pub use optimizer::{AdamWConfig, Decayed};
pub use progress::Progress;
pub use samples::{Prompts, Sample};
pub use schedule::{Decay, Schedule};
pub use source::{BatchFn, BatchSource, FixedBatches, LoaderBatches};
pub use step::{StepReport, StepSettings, TermReport, step, step_on};
pub use tensorboard::TensorBoard;
pub use together::{Learner, run_together};
pub use trainer::Trainer;
pub use vitals::Vitals;
