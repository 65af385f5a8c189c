//! What a server allows.

use std::time::Duration;

use super::BearerToken;
use crate::Error;

/// Limits of a server, and who may use it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// What clients must show; `None` lets everybody in.
    pub token: Option<BearerToken>,
    /// Most bytes of a request.
    pub max_body_bytes: usize,
    /// How long a request may take to arrive.
    pub body_timeout: Duration,
    /// Most new tokens of an answer.
    pub max_new_tokens: usize,
    /// Most likely tokens that are named at a position.
    pub max_top_log_probs: usize,
    /// Most answers that may wait for the model; more are refused with status 429.
    pub max_waiting: usize,
    /// How long a refused client is asked to wait.
    pub retry_after: Duration,
    /// How long requests may take to finish after a shutdown was asked for.
    pub shutdown_grace: Duration,
}

impl Default for ServerOptions {
    /// Everybody, 1 MiB in 30 s, 4096 new tokens, 256 likely tokens, 1024 waiting, 1 s, 60 s.
    fn default() -> Self {
        Self {
            token: None,
            max_body_bytes: 1 << 20,
            body_timeout: Duration::from_secs(30),
            max_new_tokens: 4096,
            max_top_log_probs: 256,
            max_waiting: 1024,
            retry_after: Duration::from_secs(1),
            shutdown_grace: Duration::from_secs(60),
        }
    }
}

impl ServerOptions {
    pub(super) fn validate(&self) -> Result<(), Error> {
        for (limit, value) in [
            ("max_body_bytes", self.max_body_bytes),
            ("max_new_tokens", self.max_new_tokens),
            ("max_waiting", self.max_waiting),
        ] {
            if value == 0 {
                return Err(Error::ZeroLimit { limit });
            }
        }
        Ok(())
    }
}
