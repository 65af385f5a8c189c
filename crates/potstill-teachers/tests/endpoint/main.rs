//! Endpoints over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod capabilities;
#[cfg(unix)]
mod full_disk;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod https;
mod killed;
mod limits;
mod secrets;
mod server;
mod stored;
mod teacher;
