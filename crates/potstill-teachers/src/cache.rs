//! What a teacher has said, on disk: asked once, read in every epoch.
//!
//! A folder with a manifest and shards in the safetensors format. Measured by
//! `cargo run --release -p cached-teacher -- --study`, whose README has the table of sizes and errors.

mod bits;
mod builder;
mod cached_teacher;
mod columns;
mod error;
mod identity;
mod keep;
mod log_probs;
mod manifest;
mod merge;
mod row_code;
mod sampled;
mod shard;
mod store;
mod top_k;

pub use builder::{CacheBuilder, CacheConfig};
pub use cached_teacher::CachedTeacher;
pub use error::CacheError;
pub use identity::TeacherIdentity;
pub use keep::Keep;
pub use merge::merge_caches;

#[cfg(test)]
mod tests;
