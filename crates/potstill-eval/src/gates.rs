//! Gates: may this model ship?
//!
//! A TOML file says what must hold; [`Gates::judge`] says of each rule whether it does. What cannot be
//! judged never passes: a metric that is missing or no number, too few items, a baseline that is not
//! there or was measured on other data, a misspelled key.
//!
//! ```toml
//! schema = "potstill.gates/1"
//!
//! [[threshold]]                # a number on its own
//! metric = "exact_match"
//! min = 0.9
//! bound = "interval"           # even the lower end of its 95 % interval
//!
//! [[non_inferior]]             # not worse than a baseline by more than a margin, and surely so
//! metric = "exact_match"
//! to = "teacher.json"          # a file of results, or "@alias" of a registry
//! margin = 0.03
//!
//! [[retained]]                 # the share of the teacher that is left
//! metric = "exact_match"
//! of = "teacher.json"
//! min = 0.95
//!
//! [[no_regression]]            # not provably worse than what was stored
//! metric = "exact_match"
//! to = "@champion"
//! ```

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
