//! MLflow's tracking server and model registry, through its REST API.
//!
//! [`MlflowClient`] speaks of runs with parameters and metrics, and of registered models with versions,
//! aliases and tags. [`MlflowClient::push`] puts a version of a [`Registry`](crate::Registry) there, so
//! that people find it where they look for all their models; which version is good is still decided
//! by gates. Stages are not spoken: MLflow itself has replaced them by aliases.

mod client;
mod error;
mod models;
mod push;
mod runs;

pub use client::MlflowClient;
pub use error::MlflowError;
pub use models::MlflowVersion;
pub use push::MlflowPushed;
pub use runs::{MlflowMetric, MlflowRun, MlflowStatus};

#[cfg(test)]
mod tests;
