//! Choosing what is worth learning from.
//!
//! - [`rouge_l`] says how much of one text another repeats, in order.
//! - [`LimitText`] rejects what is too short, too long, not language, or repeats itself.
//! - [`NearDuplicates`] keeps one record of each cluster of nearly equal ones.
//! - [`Decontaminate`] finds records that give away what a model will be tested on.

mod decontaminate;
mod filters;
mod near_duplicates;
mod rouge;
mod shingles;
mod signature;

pub use decontaminate::{
    Contamination, ContaminationReport, Decontaminate, OnContamination, Overlap,
};
pub use filters::{LimitText, TextLimits};
pub use near_duplicates::{NearDuplicates, NearDuplicatesOptions, Survivor};
pub use rouge::{RougeL, rouge_l, rouge_tokens};
pub use shingles::Shingles;
