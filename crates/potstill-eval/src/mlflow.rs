//! MLflow's tracking server and model registry, through its REST API.

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
