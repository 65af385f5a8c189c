//! How fast a step was and what it needed.

use std::time::Duration;

use potstill_core::TokenBatch;

use crate::flops::Utilization;
use crate::{StepReport, memory};

/// How fast a step was, and what the process needed for it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Vitals {
    /// How long it took, batches included.
    pub seconds: f64,
    /// Positions a second, padding included.
    pub tokens_per_second: f64,
    /// Rows that counted a second.
    pub rows_per_second: f64,
    /// Model FLOPs utilization: the part of the machine's peak rate that went into matrix products.
    /// Known where [`Trainer::utilization`](crate::Trainer::utilization) was told the peak.
    pub utilization: Option<f64>,
    /// Resident memory of the process, in bytes, where the system tells.
    pub memory: Option<u64>,
    /// The most that it ever was.
    pub peak_memory: Option<u64>,
}

impl Vitals {
    pub(crate) fn of_step(
        took: Duration,
        report: &StepReport,
        batches: &[TokenBatch],
        utilization: Option<&Utilization>,
    ) -> Self {
        let seconds = took.as_secs_f64().max(f64::MIN_POSITIVE);
        let resident = memory::resident();
        Self {
            seconds,
            tokens_per_second: report.tokens as f64 / seconds,
            rows_per_second: report.rows as f64 / seconds,
            utilization: utilization.map(|utilization| utilization.of_step(batches, seconds)),
            memory: resident.map(|(now, _)| now),
            peak_memory: resident.map(|(_, peak)| peak),
        }
    }
}

/// A logged step as named numbers, in the order of the log.
pub(crate) fn step_values(
    report: &StepReport,
    learning_rate: f64,
    vitals: &Vitals,
) -> Vec<(String, f64)> {
    let mut values = vec![("loss".to_owned(), report.loss)];
    let terms = report.terms.iter();
    values.extend(terms.map(|term| (format!("loss/{}", term.name), term.mean)));
    let known = [
        ("learning_rate", Some(learning_rate)),
        ("grad_norm", Some(report.grad_norm)),
        ("rows", Some(report.rows as f64)),
        ("tokens", Some(report.tokens as f64)),
        ("seconds", Some(vitals.seconds)),
        ("tokens_per_second", Some(vitals.tokens_per_second)),
        ("rows_per_second", Some(vitals.rows_per_second)),
        ("utilization", vitals.utilization),
        ("memory_bytes", vitals.memory.map(|bytes| bytes as f64)),
        (
            "peak_memory_bytes",
            vitals.peak_memory.map(|bytes| bytes as f64),
        ),
    ];
    let known = known.into_iter();
    values.extend(known.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    values
}
