//! Results by category.

use serde::Serialize;

use super::rows::{Cell, Row, arrow};
use super::{ModelReport, Report};
use crate::number::{NONE, significant};
use crate::{Better, Scores};

/// One metric within each category.
#[derive(Debug, Serialize)]
pub(super) struct CategoryTable {
    pub(super) metric: String,
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// The metrics whose scores have categories.
    pub(super) fn categories(&self) -> Vec<CategoryTable> {
        let tables = self.metric_names().into_iter().map(|(name, better)| {
            let rows = self.category_rows(name);
            CategoryTable {
                metric: format!("{name}\u{a0}{}", arrow(better)),
                rows,
            }
        });
        tables.filter(|table| !table.rows.is_empty()).collect()
    }

    fn category_rows(&self, metric: &str) -> Vec<Row> {
        let scores: Vec<Option<&Scores>> = self
            .models
            .iter()
            .map(|model| scores_of(model, metric))
            .collect();
        let mut names: Vec<&str> = Vec::new();
        for item in scores.iter().flatten().flat_map(|scores| scores.items()) {
            if let Some(category) = item.category.as_deref()
                && !names.contains(&category)
            {
                names.push(category);
            }
        }
        names.sort_unstable();
        let row = |category: &str| {
            let inside: Vec<Option<Scores>> = scores
                .iter()
                .map(|scores| of_category((*scores)?, category))
                .collect();
            let items = inside.iter().flatten().map(|scores| scores.items().len());
            let items = items.max().unwrap_or(0);
            Row {
                label: format!("{category}, n = {items}"),
                unit: "",
                cells: inside.iter().map(|scores| cell(scores, items)).collect(),
            }
        };
        names.into_iter().map(row).collect()
    }

    /// The metrics of all models, each with its direction.
    pub(super) fn metric_names(&self) -> Vec<(&str, Better)> {
        let mut names: Vec<(&str, Better)> = Vec::new();
        let results = self
            .models
            .iter()
            .filter_map(|model| model.results.as_ref());
        for (name, metric) in results.flat_map(|results| &results.metrics) {
            if names.iter().all(|(known, _)| known != name) {
                names.push((name, metric.better));
            }
        }
        names
    }
}

fn scores_of<'a>(model: &'a ModelReport, metric: &str) -> Option<&'a Scores> {
    model.results.as_ref()?.metrics.get(metric)?.scores.as_ref()
}

fn of_category(scores: &Scores, category: &str) -> Option<Scores> {
    let items = scores.items().iter();
    let inside = items.filter(|item| item.category.as_deref() == Some(category));
    // Only an empty category is refused: the ids have been looked at before.
    Scores::new(inside.cloned().collect()).ok()
}

/// The mean and its interval, and the number of items where it is not that of the row.
fn cell(scores: &Option<Scores>, of_row: usize) -> Cell {
    let Some(scores) = scores else {
        return Cell {
            value: NONE.into(),
            interval: None,
        };
    };
    let interval = scores.interval().map(|interval| {
        let (low, high) = (significant(interval.low), significant(interval.high));
        format!("{low} to {high}")
    });
    let items = scores.items().len();
    let fewer = (items != of_row).then(|| format!("n = {items}"));
    let below: Vec<String> = interval.into_iter().chain(fewer).collect();
    Cell {
        value: significant(scores.mean()),
        interval: (!below.is_empty()).then(|| below.join(", ")),
    }
}
