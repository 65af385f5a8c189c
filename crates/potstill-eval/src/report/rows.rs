//! The rows of the comparison, which the terminal and the page show alike.

mod costs;

use serde::Serialize;

use self::costs::Cost;
use super::{ModelReport, ModelRole, Report};
use crate::number::{NONE, percent, significant};
use crate::{Better, HeldOut, Interval};

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
    /// What fits a terminal: how good the models are, and the first things to know of what they cost.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = self.quality_rows();
        let costs = costs::ALL.iter().filter(|cost| cost.brief);
        rows.extend(costs.filter_map(|cost| self.cost_row(cost)));
        rows
    }

    /// How good the models are, by the metrics that at least one of them has.
    pub(super) fn quality_rows(&self) -> Vec<Row> {
        let held_out = |value: fn(&HeldOut) -> f64| {
            move |model: &ModelReport| {
                model
                    .held_out
                    .as_ref()
                    .map(|found| significant(value(found)))
            }
        };
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
        ];
        let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
        let metrics = self.metric_names().into_iter();
        rows.extend(metrics.map(|(name, better)| self.metric_row(name, better)));
        rows
    }

    /// What the models cost, as far as it is known of at least one.
    pub(super) fn cost_rows(&self) -> Vec<Row> {
        let costs = costs::ALL.iter();
        costs.filter_map(|cost| self.cost_row(cost)).collect()
    }

    fn cost_row(&self, cost: &Cost) -> Option<Row> {
        self.row(cost.label, cost.unit, |model| {
            (cost.value)(model.profile.as_ref()?)
        })
    }

    fn metric_row(&self, name: &str, better: Better) -> Row {
        let of = |model: &ModelReport| {
            let metric = model.results.as_ref()?.metrics.get(name)?;
            let interval = metric.interval.map(|interval| {
                format!(
                    "{} to {}",
                    significant(interval.low),
                    significant(interval.high)
                )
            });
            Some(Cell {
                value: significant(metric.value),
                interval,
            })
        };
        let unknown = || Cell {
            value: NONE.into(),
            interval: None,
        };
        let cells = self
            .models
            .iter()
            .map(|model| of(model).unwrap_or_else(unknown));
        Row {
            label: format!("{name}\u{a0}{}", arrow(better)),
            unit: "",
            cells: cells.collect(),
        }
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

/// Towards the better.
pub(super) fn arrow(better: Better) -> &'static str {
    match better {
        Better::Higher => "↑",
        Better::Lower => "↓",
    }
}
