//! What almost every distillation program names.

pub use potstill_core::{CausalLm, Generate, Objective, Taps, Teacher, TokenBatch, TokenRow};
pub use potstill_models::LanguageModel;
pub use potstill_teachers::ModelTeacher;
pub use potstill_train::{Event, Flow, Trainer, TrainerConfig};
