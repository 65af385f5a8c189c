//! Choosing what is worth learning from.
//!
//! - [`rouge_l`] says how much of one text another repeats, in order.
//! - [`NearDuplicates`] keeps one record of each cluster of nearly equal ones.

mod near_duplicates;
mod rouge;
mod shingles;
mod signature;

pub use near_duplicates::{NearDuplicates, NearDuplicatesOptions, Survivor};
pub use rouge::{RougeL, rouge_l, rouge_tokens};
pub use shingles::Shingles;
