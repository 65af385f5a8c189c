//! What can go wrong between here and an MLflow server.

use crate::RegistryError;

/// Why an MLflow server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MlflowError {
    /// The address is none.
    #[error("{address:?} is not the address of a server; give one such as http://127.0.0.1:5000")]
    Address {
        /// The address.
        address: String,
    },
    /// The client cannot be set up.
    #[error("cannot set up a client for {address}")]
    Client {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came.
    #[error("{address} did not answer")]
    NoAnswer {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("MLflow refused {call} ({status}, {code}): {message}")]
    Refused {
        /// What it was asked for.
        call: String,
        /// The HTTP status.
        status: u16,
        /// MLflow's name for the problem.
        code: String,
        /// What it said about it.
        message: String,
    },
    /// The answer makes no sense.
    #[error("the answer to {call} is not MLflow's: {problem}")]
    Answer {
        /// What it was asked for.
        call: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The version that is to be pushed cannot be read.
    #[error("the version cannot be read")]
    Registry(#[from] RegistryError),
}

impl MlflowError {
    /// Whether the server has no such thing.
    pub(super) fn is_absence(&self) -> bool {
        let Self::Refused { code, message, .. } = self else {
            return false;
        };
        // An alias that is not set is, to MLflow, an invalid parameter.
        code == "RESOURCE_DOES_NOT_EXIST"
            || (code == "INVALID_PARAMETER_VALUE"
                && message.contains("alias")
                && message.contains("not found"))
    }

    /// Whether the server has it already.
    pub(super) fn is_presence(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_ALREADY_EXISTS")
    }
}
