//! The rows of the comparison, which the terminal and the page show alike.

use serde::Serialize;

use super::{ModelReport, ModelRole, Report};
use crate::number::{NONE, percent, significant, thousands};
use crate::{HeldOut, Interval, Profile};

/// One metric of every model.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What is measured, with an arrow towards the better, held by a space that does not break.
    pub(crate) label: String,
    pub(crate) unit: &'static str,
    /// One cell for each model.
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) value: String,
    pub(crate) interval: Option<String>,
}

impl Report {
    /// The metrics that at least one model has.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let held_out = |value: fn(&HeldOut) -> f64| {
            move |model: &ModelReport| {
                model
                    .held_out
                    .as_ref()
                    .map(|found| significant(value(found)))
            }
        };
        let cost = |value: fn(&Profile) -> Option<f64>| {
            move |model: &ModelReport| model.profile.as_ref().and_then(value).map(significant)
        };
        let parameters =
            |model: &ModelReport| model.profile.as_ref().map(|p| thousands(p.parameters));
        let agreement =
            |model: &ModelReport| model.held_out.map(|found| percent(found.top1_agreement));
        let rows = [
            self.exact_match_row(),
            self.row(
                "Forward KL to teacher ↓",
                "nats/token",
                held_out(|found| found.forward_kl),
            ),
            self.row("Top-1 agreement ↑", "%", agreement),
            self.row("Perplexity ↓", "", |model| {
                self.perplexity(model).map(significant)
            }),
            self.row("Parameters", "", parameters),
            self.row(
                "Size on disk ↓",
                "MB",
                cost(|p| p.disk_bytes.map(|b| b as f64 / 1e6)),
            ),
            self.row(
                "Weights in memory ↓",
                "MB",
                cost(|p| Some(p.parameter_bytes as f64 / 1e6)),
            ),
            self.row(
                "Latency per answer ↓",
                "ms",
                cost(|p| Some(1e3 * p.latency_seconds)),
            ),
            self.row(
                "Generation ↑",
                "tokens/s",
                cost(|p| Some(p.generated_tokens_per_second)),
            ),
            self.row(
                "Prefill ↑",
                "tokens/s",
                cost(|p| Some(p.prefill_tokens_per_second)),
            ),
            self.row(
                "Peak memory of process ↓",
                "MB",
                cost(|p| p.peak_rss_bytes.map(|b| b as f64 / 1e6)),
            ),
        ];
        rows.into_iter().flatten().collect()
    }

    fn row(
        &self,
        label: &str,
        unit: &'static str,
        value: impl Fn(&ModelReport) -> Option<String>,
    ) -> Option<Row> {
        let values: Vec<Option<String>> = self.models.iter().map(value).collect();
        values.iter().any(Option::is_some).then(|| Row {
            label: label.into(),
            unit,
            cells: values
                .into_iter()
                .map(|value| Cell {
                    value: value.unwrap_or_else(|| NONE.into()),
                    interval: None,
                })
                .collect(),
        })
    }

    fn exact_match_row(&self) -> Option<Row> {
        let mut row = self.row("Exact match ↑", "%", |model| {
            Some(percent(model.exact_match?.value()))
        })?;
        for (cell, model) in row.cells.iter_mut().zip(&self.models) {
            cell.interval = model.exact_match.map(|found| range(found.wilson_95()));
        }
        Some(row)
    }

    /// The teacher's perplexity was measured together with whoever was measured against it.
    fn perplexity(&self, model: &ModelReport) -> Option<f64> {
        let own = model.held_out.as_ref().map(HeldOut::student_perplexity);
        own.or_else(|| {
            let others = self
                .models
                .iter()
                .filter_map(|other| other.held_out.as_ref());
            (model.role == ModelRole::Teacher)
                .then(|| others.map(HeldOut::teacher_perplexity).next())
                .flatten()
        })
    }
}

/// An interval of shares, in percent.
pub(super) fn range(interval: Interval) -> String {
    format!("{} to {}", percent(interval.low), percent(interval.high))
}
