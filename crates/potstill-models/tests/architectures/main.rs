//! Whole models: agreement with `transformers`, invariances, and the way to disk and back.
//!
//! `tests/fixtures/models` holds tiny checkpoints of random weights and what `transformers` 5.23
//! computes for them in f32; see the README there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cache;
mod fixture;
mod gradients;
mod parity;
mod round_trip;
mod segments;
