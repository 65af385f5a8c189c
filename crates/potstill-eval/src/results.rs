//! What was measured of one model, as it is stored, judged and promoted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::number::any_float;
use crate::{Error, Interval, Scores, sha256};

const SCHEMA: &str = "potstill.results/1";

/// What a metric was measured on. Numbers of different tasks are never compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskIdentity {
    /// Name of the task.
    pub name: String,
    /// Version of the task: prompts, rules of judging, and those settings of generation that its items do
    /// not hold.
    pub version: String,
    /// SHA-256 of its items, in hexadecimal.
    pub data_sha256: String,
}

impl TaskIdentity {
    /// The identity of a task with these items, in this order.
    ///
    /// # Errors
    ///
    /// When an item has no JSON form.
    pub fn of_items<T: Serialize>(
        name: impl Into<String>,
        version: impl Into<String>,
        items: &[T],
    ) -> Result<Self, Error> {
        let data = serde_json::to_vec(items).map_err(Error::Serialize)?;
        Ok(Self {
            name: name.into(),
            version: version.into(),
            data_sha256: sha256::of_bytes(&data),
        })
    }
}

/// Which way is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better: accuracy.
    Higher,
    /// Less is better: perplexity, bytes, seconds.
    Lower,
}

/// One number about a model, with what is needed to judge it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Which way is up.
    pub better: Better,
    /// The number.
    #[serde(with = "any_float")]
    pub value: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<Interval>,
    /// What it was measured on; `None` for what belongs to the model alone, such as its size.
    pub task: Option<TaskIdentity>,
    /// The scores of which it is the mean, where it is one. Without them nobody can say whether a
    /// difference to another model is chance.
    pub scores: Option<Scores>,
}

impl Metric {
    /// The mean of `scores` on a task.
    #[must_use]
    pub fn of_scores(better: Better, task: TaskIdentity, scores: Scores) -> Self {
        Self {
            better,
            value: scores.mean(),
            interval: scores.interval(),
            task: Some(task),
            scores: Some(scores),
        }
    }

    /// A number that is all there is.
    #[must_use]
    pub fn of_value(better: Better, value: f64) -> Self {
        Self {
            better,
            value,
            interval: None,
            task: None,
            scores: None,
        }
    }
}

/// All metrics of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    schema: String,
    /// Name of the model.
    pub model: String,
    /// [`files_sha256`](crate::files_sha256) of the files that were measured; a
    /// [registry](crate::Registry) stores results only beside the files that they are about.
    pub files_sha256: Option<String>,
    /// The metrics, by name.
    pub metrics: BTreeMap<String, Metric>,
}

impl Results {
    /// Results without any metric yet.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA.into(),
            model: model.into(),
            files_sha256: None,
            metrics: BTreeMap::new(),
        }
    }

    /// The same with one more metric.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, metric: Metric) -> Self {
        self.metrics.insert(name.into(), metric);
        self
    }

    /// Reads results. Unknown fields are refused: what decides about a release is not guessed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no results file, follows another schema, or has scores that
    /// are no [`Scores`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&bytes, path)
    }

    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let results: Self = serde_json::from_slice(bytes).map_err(|source| Error::Results {
            path: path.into(),
            source,
        })?;
        if results.schema != SCHEMA {
            return Err(Error::Schema {
                path: path.into(),
                found: results.schema,
                expected: SCHEMA,
            });
        }
        Ok(results)
    }

    /// Writes the results as JSON: beside `path`, then over it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; what stood there before then stands there still.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        crate::file::write_text(path.as_ref(), &self.to_json()?)
    }

    pub(crate) fn to_json(&self) -> Result<String, Error> {
        let mut json = serde_json::to_string_pretty(self).map_err(Error::Serialize)?;
        json.push('\n');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ItemScore;

    fn results() -> Results {
        let task = TaskIdentity::of_items("sums", "1", &["1+1"]).unwrap();
        let scores = Scores::new(vec![ItemScore::new("a", 1.0), ItemScore::new("b", 0.0)]).unwrap();
        Results::new("student")
            .with_metric(
                "exact_match",
                Metric::of_scores(Better::Higher, task, scores),
            )
            .with_metric("bytes", Metric::of_value(Better::Lower, 1e6))
            .with_metric("broken", Metric::of_value(Better::Lower, f64::INFINITY))
    }

    #[test]
    fn results_survive_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        results().write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let json = results().to_json().unwrap();
        for (from, to, problem) in [
            ("results/1", "results/2", "potstill.results/2"),
            ("\"interval\"", "\"intreval\"", "not a file of results"),
            (
                "\"score\": 1.0",
                "\"score\": \"NaN\"",
                "not a file of results",
            ),
            ("{", "", "not a file of results"),
        ] {
            std::fs::write(&path, json.replacen(from, to, 1)).unwrap();
            let error = Results::read(&path).unwrap_err().to_string();
            assert!(
                error.contains(problem) && error.contains("results.json"),
                "{error}"
            );
        }
        let error = Results::read(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read"), "{error}");
    }

    #[test]
    fn a_task_is_another_one_when_an_item_changes() {
        let of = |items: &[&str]| TaskIdentity::of_items("sums", "1", items).unwrap();
        assert_eq!(of(&["1+1"]), of(&["1+1"]));
        assert_ne!(of(&["1+1"]), of(&["1+2"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
    }
}
