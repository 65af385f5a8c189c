//! The server over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chat;
mod completions;
mod harness;
mod limits;
mod shutdown;
mod streaming;
