//! The server over real sockets.

mod chat;
mod completions;
mod harness;
mod limits;
mod shutdown;
mod streaming;
