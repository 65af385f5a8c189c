//! Results by category.

use serde::Serialize;

use super::rows::{Cell, Row, arrow};
use super::{ModelReport, Report};
use crate::number::{NONE, significant};
use crate::{Better, ItemScore, Scores};

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
        let row = |category: &str| Row {
            label: category.into(),
            unit: "",
            cells: scores
                .iter()
                .map(|scores| cell(*scores, category))
                .collect(),
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

/// The mean of one category, its interval and its size.
fn cell(scores: Option<&Scores>, category: &str) -> Cell {
    let inside = |item: &&ItemScore| item.category.as_deref() == Some(category);
    let items = scores.map(|scores| scores.items().iter().filter(inside).cloned().collect());
    let Some(scores) = items.and_then(|items: Vec<ItemScore>| Scores::new(items).ok()) else {
        return Cell {
            value: NONE.into(),
            interval: None,
        };
    };
    let interval = scores.interval().map(|interval| {
        let (low, high) = (significant(interval.low), significant(interval.high));
        format!("{low} to {high}, ")
    });
    let items = scores.items().len();
    Cell {
        value: significant(scores.mean()),
        interval: Some(format!("{}n = {items}", interval.unwrap_or_default())),
    }
}
