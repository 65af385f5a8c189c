//! Numbers of several tasks as one.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::keys::AggregateKeys;
use super::task_run::{TaskMetric, TaskRun};
use super::{Task, TaskError};
use crate::interval::Z_95;
use crate::{Interval, ItemScore, Results, Scores, TaskIdentity, sha256};

/// A group whose tasks are known.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) alias: String,
    pub(super) version: String,
    /// Names of its tasks and groups, not of theirs.
    pub(super) members: Vec<String>,
    /// Places of all its tasks in the suite.
    pub(super) tasks: Range<usize>,
    pub(super) averages: Vec<Average>,
}

/// A metric that is averaged over tasks.
#[derive(Clone, Debug)]
pub(super) struct Average {
    metric: String,
    /// Those of its tasks if there are none.
    filters: Option<Vec<String>>,
    weight_by_size: bool,
}

impl Average {
    /// The key that is wrong, and how, if it cannot be.
    pub(super) fn new(keys: AggregateKeys) -> Result<Self, (&'static str, String)> {
        let aggregation = keys.aggregation.as_deref().unwrap_or("mean");
        if aggregation != "mean" {
            return Err(("aggregation", format!("is {aggregation:?}; known is mean")));
        }
        Ok(Self {
            metric: keys.metric,
            filters: keys.filter_list.map(Vec::from),
            weight_by_size: keys.weight_by_size,
        })
    }

    /// Why it cannot be an average over `tasks`, if it cannot.
    pub(super) fn problem(&self, tasks: &[Task]) -> Option<String> {
        let metrics = || tasks.iter().flat_map(|task| &task.metrics);
        let mut of_name = metrics().filter(|metric| metric.name == self.metric);
        let Some(first) = of_name.next() else {
            let known: BTreeSet<&str> = metrics().map(|metric| metric.name.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Some(format!(
                "averages `{}`, which none of its tasks has; they have {}",
                self.metric,
                known.join(", ")
            ));
        };
        if of_name.any(|metric| metric.better != first.better) {
            return Some(format!(
                "averages `{}`, of which more is better in some of its tasks and less in others",
                self.metric
            ));
        }
        let filters: BTreeSet<&str> = tasks
            .iter()
            .filter(|task| task.metrics.iter().any(|metric| metric.name == self.metric))
            .flat_map(|task| &task.pipelines)
            .map(|pipeline| pipeline.name.as_str())
            .collect();
        let mut wanted = self.filters.iter().flatten();
        let unknown = wanted.find(|filter| !filters.contains(filter.as_str()))?;
        let filters: Vec<&str> = filters.into_iter().collect();
        Some(format!(
            "averages `{}` behind the filter `{unknown}`, which none of its tasks has; they have {}",
            self.metric,
            filters.join(", ")
        ))
    }

    fn filters(&self, runs: &[TaskRun]) -> Vec<String> {
        match &self.filters {
            Some(filters) => filters.clone(),
            None => {
                let metrics = runs.iter().flat_map(|run| &run.metrics);
                let filters: BTreeSet<&String> = metrics
                    .filter(|metric| metric.name == self.metric)
                    .map(|metric| &metric.filter)
                    .collect();
                filters.into_iter().cloned().collect()
            }
        }
    }

    /// The average over those of `runs` that have the metric; `None` if there are none.
    fn of(&self, runs: &[TaskRun], filter: &str) -> Result<Option<GroupMetric>, crate::Error> {
        let found = runs.iter().filter_map(|run| {
            let mut metrics = run.metrics.iter();
            let metric =
                metrics.find(|metric| metric.name == self.metric && metric.filter == filter)?;
            Some(Part { run, metric })
        });
        let parts: Vec<Part<'_>> = found.collect();
        let Some(first) = parts.first() else {
            return Ok(None);
        };
        let (value, standard_error) = match self.weight_by_size {
            true => (weighted_mean(&parts), pooled_error(&parts)),
            false => (plain_mean(&parts), plain_error(&parts)),
        };
        let scores = match self.weight_by_size {
            true => all_scores(&parts)?,
            false => None,
        };
        let interval = match &scores {
            Some(scores) => scores.interval(),
            None => standard_error.map(|error| Interval {
                low: value - Z_95 * error,
                high: value + Z_95 * error,
            }),
        };
        Ok(Some(GroupMetric {
            tasks: parts.iter().map(|part| part.run.task.clone()).collect(),
            documents: parts.iter().map(|part| part.run.documents).sum(),
            metric: TaskMetric {
                name: self.metric.clone(),
                filter: filter.into(),
                better: first.metric.better,
                value,
                standard_error,
                interval,
                scores,
            },
        }))
    }
}

/// A task that has the metric.
struct Part<'a> {
    run: &'a TaskRun,
    metric: &'a TaskMetric,
}

impl Part<'_> {
    fn size(&self) -> f64 {
        self.run.documents as f64
    }
}

/// ```text
/// Σ nᵢ·xᵢ / Σ nᵢ
/// ```
fn weighted_mean(parts: &[Part<'_>]) -> f64 {
    let sum: f64 = parts
        .iter()
        .map(|part| part.metric.value * part.size())
        .sum();
    sum / parts.iter().map(Part::size).sum::<f64>()
}

fn plain_mean(parts: &[Part<'_>]) -> f64 {
    let sum: f64 = parts.iter().map(|part| part.metric.value).sum();
    sum / parts.len() as f64
}

/// Standard errors, if every task has one, with the sizes.
fn errors(parts: &[Part<'_>]) -> Option<Vec<(f64, f64)>> {
    let error = |part: &Part<'_>| Some((part.metric.standard_error?, part.size()));
    parts.iter().map(error).collect()
}

/// From the pooled variance of the documents; what the tasks differ by is no error.
///
/// ```text
/// √( Σ (nᵢ − 1)·nᵢ·sᵢ² / (Σ nᵢ − k) / Σ nᵢ ),   sᵢ the standard errors of k tasks
/// ```
fn pooled_error(parts: &[Part<'_>]) -> Option<f64> {
    let errors = errors(parts)?;
    let total: f64 = errors.iter().map(|(_, size)| size).sum();
    let squares = errors
        .iter()
        .map(|(error, size)| (size - 1.0) * error.powi(2) * size);
    let variance = squares.sum::<f64>() / (total - errors.len() as f64);
    Some((variance / total).sqrt())
}

/// ```text
/// √( Σ sᵢ² ) / k
/// ```
fn plain_error(parts: &[Part<'_>]) -> Option<f64> {
    let errors = errors(parts)?;
    let squares: f64 = errors.iter().map(|(error, _)| error.powi(2)).sum();
    Some(squares.sqrt() / errors.len() as f64)
}

/// The scores of all documents, where each task has some: `TASK/PLACE`, with the task as category.
fn all_scores(parts: &[Part<'_>]) -> Result<Option<Scores>, crate::Error> {
    let mut items = Vec::new();
    for part in parts {
        let Some(scores) = &part.metric.scores else {
            return Ok(None);
        };
        let task = &part.run.task;
        items.extend(scores.items().iter().map(|item| ItemScore {
            id: format!("{task}/{}", item.id),
            category: Some(task.clone()),
            ..item.clone()
        }));
    }
    Scores::new(items).map(Some)
}

impl Group {
    /// The group's numbers; `runs` are those of the whole suite.
    pub(super) fn run(&self, runs: &[TaskRun]) -> Result<GroupRun, TaskError> {
        let runs = &runs[self.tasks.clone()];
        let mut metrics = Vec::new();
        for average in &self.averages {
            for filter in average.filters(runs) {
                let found = average
                    .of(runs, &filter)
                    .map_err(|source| TaskError::Scores {
                        task: self.name.clone(),
                        source: Box::new(source),
                    })?;
                metrics.extend(found);
            }
        }
        let hashes: String = runs.iter().map(TaskRun::sha256).collect();
        Ok(GroupRun {
            group: self.name.clone(),
            members: self.members.clone(),
            metrics,
            alias: self.alias.clone(),
            version: self.version.clone(),
            documents: runs.iter().map(|run| run.documents).sum(),
            averages: !self.averages.is_empty(),
            sha256: sha256::of_bytes(hashes.as_bytes()),
        })
    }
}

/// One number of a [`GroupRun`].
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMetric {
    /// The average. It has [`Scores`] where it is a mean over documents, which are then called
    /// `TASK/PLACE` and have their task as category; otherwise its interval is that of a normal
    /// distribution with its standard error.
    pub metric: TaskMetric,
    /// The tasks of the group that have the metric. Others do not count.
    pub tasks: Vec<String>,
    /// Documents in them.
    pub documents: usize,
}

/// What a model got on a group of tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRun {
    /// The group's name.
    pub group: String,
    /// Names of its tasks and groups, not of theirs.
    pub members: Vec<String>,
    /// The averages.
    pub metrics: Vec<GroupMetric>,
    alias: String,
    pub(super) version: String,
    /// In all its tasks.
    documents: usize,
    pub(super) averages: bool,
    sha256: String,
}

impl GroupRun {
    /// The first average of that metric, whatever the filter.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&GroupMetric> {
        self.metrics.iter().find(|found| found.metric.name == name)
    }

    /// The group, for [gates](crate::Gates) and comparisons: the same if all its tasks are.
    #[must_use]
    pub fn identity(&self) -> TaskIdentity {
        TaskIdentity {
            name: self.group.clone(),
            version: self.version.clone(),
            data_sha256: self.sha256.clone(),
        }
    }

    /// `results` with the averages, called `GROUP/METRIC`, or `GROUP/METRIC,FILTER`.
    #[must_use]
    pub fn add_to(&self, results: Results) -> Results {
        let identity = self.identity();
        let metrics = self.metrics.iter();
        metrics.fold(results, |results, found| {
            found.metric.add_to(results, &self.group, &identity)
        })
    }

    /// As lm-evaluation-harness writes it.
    pub(super) fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("alias".into(), self.alias.as_str().into());
        json.insert("name".into(), self.group.as_str().into());
        if self.averages {
            json.insert("sample_len".into(), self.documents.into());
        }
        let mut counts = Map::new();
        for GroupMetric {
            metric, documents, ..
        } in &self.metrics
        {
            metric.write(&mut json);
            counts.insert(metric.key(), (*documents).into());
        }
        if !counts.is_empty() {
            json.insert("sample_count".into(), counts.into());
        }
        Value::Object(json)
    }
}
