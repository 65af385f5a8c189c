//! Choosing what is worth learning from.
//!
//! Stages that look at one record:
//!
//! - [`LimitText`] rejects what is too short, too long, not language, or repeats itself;
//!   [`KeepLanguages`] rejects other languages.
//! - [`Decontaminate`] finds records that give away what a model will be tested on.
//! - [`MaskPersonalData`] replaces addresses, numbers and keys.
//!
//! Stages that look at all:
//!
//! - [`NearDuplicates`] keeps one record of each cluster of nearly equal ones, and
//!   [`split_by_cluster`] and [`HoldOutClusters`] never let a cluster straddle.
//! - [`KeepScores`] and [`KeepDiverse`] choose; [`BalanceClasses`] weighs.
//!
//! [`rouge_l`] says how much of one text another repeats, in order.

mod balance;
mod decontaminate;
mod diversity;
mod filters;
mod language;
mod near_duplicates;
mod personal_data;
mod rouge;
mod scores;
mod shingles;
mod signature;
mod split;
mod words;

pub use balance::BalanceClasses;
pub use decontaminate::{
    Contamination, ContaminationReport, Decontaminate, OnContamination, Overlap,
};
pub use diversity::KeepDiverse;
pub use filters::{LimitText, TextLimits};
pub use language::{KeepLanguages, detect_language};
pub use near_duplicates::{NearDuplicates, NearDuplicatesOptions, Survivor};
pub use personal_data::{MaskPersonalData, mask_personal_data};
pub use rouge::{RougeL, rouge_l, rouge_tokens};
pub use scores::{KeepScores, Wanted};
pub use shingles::Shingles;
pub use split::{ClusterSplit, HoldOutClusters, split_by_cluster};
