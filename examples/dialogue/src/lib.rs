//! A student small enough to be trained while one watches: every letter is a token.
//!
//! The programs of this folder and of its neighbors share it.

pub mod letters;
