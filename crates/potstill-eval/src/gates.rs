//! Gates: may this model ship?

mod baseline;
mod error;
mod judge;
mod junit;
mod markdown;
mod report;
mod rules;

pub use baseline::Baseline;
pub use error::GateError;
pub use report::{GateKind, GateOutcome, GateReport, Verdict};
pub use rules::{Bound, Gates, NoRegression, NonInferior, Retained, Threshold, UnsetAlias};

#[cfg(test)]
mod tests;
