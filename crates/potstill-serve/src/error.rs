//! What can go wrong before a model answers.

use std::net::SocketAddr;
use std::time::Duration;

/// Why a model cannot be talked to, or a server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tokenizer is not the model's.
    #[error("the tokenizer does not fit the model {model}")]
    Tokenizer {
        /// The model's name.
        model: String,
        /// Why.
        #[source]
        source: potstill_data::Error,
    },
    /// A limit that leaves no room for anything.
    #[error("{limit} is 0, it must be at least 1")]
    ZeroLimit {
        /// The setting.
        limit: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A thread or its runtime cannot be started.
    #[error("cannot start the {thread} thread")]
    Start {
        /// Which one.
        thread: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The listening socket failed.
    #[error("the server on {address} failed")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The server was stopped while it still answered.
    #[error(
        "the server stopped with {unfinished} requests unfinished, {grace:?} after it was asked to"
    )]
    ShutdownTimeout {
        /// Requests without their whole answer.
        unfinished: usize,
        /// How long they had.
        grace: Duration,
    },
    /// The server's thread died, which is a bug.
    #[error("the thread of the server on {address} panicked")]
    Panicked {
        /// Where it listened.
        address: SocketAddr,
    },
}

/// An error with everything that caused it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}
