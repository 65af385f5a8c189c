//! The words that Potstill's crates share, and the traits between them.
//!
//! One batch runs through all of them:
//!
//! ```text
//! TokenRow ─▶ TokenBatch ─┬─▶ Teacher::signal ─▶ TeacherSignal ─┐
//!                         └─▶ CausalLm::encode ─▶ StudentView ──┴─▶ Objective ─▶ LossTerm
//! ```
//!
//! - [`TokenBatch`] holds packed token rows and, in [`Rows`], the positions that count.
//! - [`CausalLm`] is an architecture. Student and in-process teacher are roles of one, not types.
//! - [`Teacher`] is a *source of signals*; a [`TeacherSignal`] never carries autodiff.
//! - [`Objective`] turns both into named [`LossTerm`]s.
//! - [`Generate`] continues token sequences, a [`Rollout`] is one with its [`Draw`]s, and a [`ChatModel`] continues conversations.
//! - [`Message`]s and [`SpecialTokens`] are what text brings along.
//! - [`Vocabulary`] decides once, at construction, whether student and teacher speak the same tokens;
//!   [`KeptTokens`] are those of a smaller one.
//!
//! This crate does no IO and prefers no backend.

mod batch;
mod causal_lm;
mod chat;
mod generate;
mod head;
mod kept_tokens;
mod message;
mod objective;
mod rollout;
mod signal;
mod special_tokens;
mod taps;
mod teacher;
mod vocabulary;

pub use batch::{Drawn, Rows, TokenBatch, TokenRow};
pub use causal_lm::{CausalLm, Encoded};
pub use chat::{
    ChatError, ChatFinish, ChatModel, ChatReply, ChatRequest, ChatToken, TokenLogProb, Usage,
};
pub use generate::{
    FinishReason, Generate, GenerateError, GenerateOptions, Generation, Sampling, StopRule,
};
pub use head::LmHead;
pub use kept_tokens::KeptTokens;
pub use message::{Message, Role};
pub use objective::{LossTerm, Objective, ObjectiveInput, StudentView};
pub use rollout::{Draw, Rollout};
pub use signal::{Prediction, Support, TeacherSignal};
pub use special_tokens::SpecialTokens;
pub use taps::{Tapped, Taps};
pub use teacher::{Teacher, TeacherError};
pub use vocabulary::{TokenizerIdentity, Vocabulary, VocabularyMismatch};
