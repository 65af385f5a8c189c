//! What a model got on a task.

use serde_json::{Map, Value};

use super::metric::{Aggregation, DocumentScore, Metric as MetricOfTask};
use super::prompt_format::FormatRecord;
use super::{Task, TaskError, python};
use crate::{
    Better, Calibration, ExactMatch, Interval, ItemResult, ItemScore, Metric, Results, Scores,
    TaskIdentity, TextModel, sha256,
};

/// One number of a [`TaskRun`].
#[derive(Clone, Debug, PartialEq)]
pub struct TaskMetric {
    /// Which metric.
    pub name: String,
    /// What was done to the answers before; "none" if nothing was.
    pub filter: String,
    /// Which way is up.
    pub better: Better,
    /// The number.
    pub value: f64,
    /// Its standard error, where lm-evaluation-harness states one.
    pub standard_error: Option<f64>,
    /// Its 95 % interval: that of [`Scores`] for a mean, otherwise from a bootstrap of the documents.
    pub interval: Option<Interval>,
    /// What the documents got, where the number is their mean.
    pub scores: Option<Scores>,
}

impl TaskMetric {
    pub(super) fn new(
        task: &Task,
        metric: &MetricOfTask,
        filter: &str,
        scores: &[DocumentScore],
    ) -> Result<Self, TaskError> {
        let failed = |source| TaskError::Scores {
            task: task.name.clone(),
            source: Box::new(source),
        };
        let items = match metric.aggregation {
            Aggregation::Mean => scores
                .iter()
                .enumerate()
                .map(|(place, score)| match score {
                    DocumentScore::Number(score) => Some(ItemScore::new(place.to_string(), *score)),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let items: Option<Vec<ItemScore>> = items;
        let of_items = items.map(Scores::new).transpose().map_err(failed)?;
        let uncertainty = metric.aggregation.uncertainty(scores);
        Ok(Self {
            name: metric.name.clone(),
            filter: filter.into(),
            better: metric.better,
            value: metric.aggregation.of(&scores.iter().collect::<Vec<_>>()),
            standard_error: uncertainty.standard_error,
            interval: match &of_items {
                Some(scores) => scores.interval(),
                None => uncertainty.interval,
            },
            scores: of_items,
        })
    }

    /// What lm-evaluation-harness calls it.
    pub(super) fn key(&self) -> String {
        format!("{},{}", self.name, self.filter)
    }

    /// The number and its error, as lm-evaluation-harness writes them.
    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        let error = self.standard_error;
        json.insert(self.key(), self.value.into());
        json.insert(
            format!("{}_stderr,{}", self.name, self.filter),
            error.map_or_else(|| "N/A".into(), Value::from),
        );
    }

    /// `results` with this number, called `OWNER/METRIC`, or `OWNER/METRIC,FILTER`.
    pub(super) fn add_to(&self, results: Results, owner: &str, on: &TaskIdentity) -> Results {
        let name = match self.filter.as_str() {
            "none" => format!("{owner}/{}", self.name),
            filter => format!("{owner}/{},{filter}", self.name),
        };
        let metric = Metric {
            better: self.better,
            value: self.value,
            interval: self.interval,
            task: Some(on.clone()),
            scores: self.scores.clone(),
        };
        results.with_metric(name, metric)
    }
}

/// A document, what a model said to it and what that is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSample {
    /// The row of the data set.
    pub document: Map<String, Value>,
    /// Its place in the task, from 0.
    pub place: usize,
    /// The right answer as the task states it: a text, the number of a choice, or a list.
    pub target: Value,
    /// The right answer as texts, for who compares the answer in another way.
    pub references: Vec<String>,
    /// Context and continuation of each request; of a prompt, and of a text that is scored as a whole,
    /// the continuation is empty.
    pub requests: Vec<(String, String)>,
    /// What the model said to each request, as lm-evaluation-harness writes it.
    pub responses: Vec<Value>,
    /// What the model wrote, as the filter left it; `None` where the task asks for no text.
    pub answer: Option<String>,
    /// What the filter left of the responses, as lm-evaluation-harness writes it.
    pub filtered: Vec<Value>,
    /// The filter.
    pub filter: String,
    /// What it is worth, by metric.
    pub scores: Vec<(String, Value)>,
}

impl TaskSample {
    pub(super) fn document_sha256(&self) -> String {
        sha256::of_bytes(python::json(&self.document).as_bytes())
    }

    pub(super) fn prompt_sha256(&self) -> String {
        sha256::of_bytes(self.requests[0].0.as_bytes())
    }

    pub(super) fn target_sha256(&self) -> String {
        sha256::of_bytes(python::text(&self.target).as_bytes())
    }
}

/// What a model got on a [`Task`].
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRun {
    /// The task's name.
    pub task: String,
    /// The model's name.
    pub model: String,
    /// The numbers, filter by filter.
    pub metrics: Vec<TaskMetric>,
    /// The documents, filter by filter.
    pub samples: Vec<TaskSample>,
    pub(super) alias: String,
    pub(super) version: Value,
    pub(super) config: Map<String, Value>,
    pub(super) format: FormatRecord,
    pub(super) generation_kwargs: Option<Value>,
    pub(super) num_fewshot: usize,
    pub(super) available: usize,
    pub(super) documents: usize,
    /// How sure it was of each choice, and whether that was right.
    pub(super) confidences: Vec<(f64, bool)>,
}

impl TaskRun {
    pub(super) fn new(
        task: &Task,
        model: &dyn TextModel,
        metrics: Vec<TaskMetric>,
        samples: Vec<TaskSample>,
        confidences: Vec<(f64, bool)>,
    ) -> Self {
        let writes = task.output_type == super::OutputType::GenerateUntil;
        Self {
            task: task.name.clone(),
            model: model.name().to_owned(),
            metrics,
            samples,
            alias: task.alias.clone(),
            version: task.version.clone(),
            config: task.config.clone(),
            format: task.format.record(),
            generation_kwargs: writes.then(|| task.generation_kwargs.clone()),
            num_fewshot: task.num_fewshot,
            available: task.available,
            documents: task.documents.len(),
            confidences,
        }
    }

    /// The first metric of that name, whatever the filter.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&TaskMetric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// SHA-256 over documents, prompts and right answers: the `task_hashes` of lm-evaluation-harness.
    /// Two models were asked the same if it is the same.
    #[must_use]
    pub fn sha256(&self) -> String {
        let hashes: String = self
            .samples
            .iter()
            .flat_map(|sample| {
                [
                    sample.document_sha256(),
                    sample.prompt_sha256(),
                    sample.target_sha256(),
                ]
            })
            .collect();
        sha256::of_bytes(hashes.as_bytes())
    }

    /// The task, for [gates](crate::Gates) and comparisons: numbers of different ones are never compared.
    #[must_use]
    pub fn identity(&self) -> TaskIdentity {
        TaskIdentity {
            name: self.task.clone(),
            version: python::text(&self.version),
            data_sha256: self.sha256(),
        }
    }

    /// `results` with the numbers of this run, called `TASK/METRIC`, or `TASK/METRIC,FILTER`.
    #[must_use]
    pub fn add_to(&self, results: Results) -> Results {
        let identity = self.identity();
        let metrics = self.metrics.iter();
        metrics.fold(results, |results, metric| {
            metric.add_to(results, &self.task, &identity)
        })
    }

    /// Whether the model is as often right as it is sure, among the choices of each document.
    ///
    /// # Errors
    ///
    /// When the task is not one of choices.
    pub fn calibration(&self) -> Result<Calibration, crate::Error> {
        Calibration::new(self.confidences.iter().copied())
    }

    /// The written answers and whether `exact_match` found each of them right, for a
    /// [`Report`](crate::Report) and its [samples](crate::samples()); `None` where the task has none. Where
    /// there are several filters, they are those that the first one left. The new tokens are not known.
    #[must_use]
    pub fn exact_match(&self) -> Option<ExactMatch> {
        let result = |sample: &TaskSample| {
            let (_, score) = sample
                .scores
                .iter()
                .find(|(name, _)| name == "exact_match")?;
            Some(ItemResult {
                id: sample.place.to_string(),
                problem: sample.requests[0].0.clone(),
                expected: sample.references.first()?.clone(),
                answer: sample.answer.clone()?,
                correct: score.as_f64()? == 1.0,
                new_tokens: 0,
                cut_off: false,
            })
        };
        let results: Option<Vec<ItemResult>> = self
            .samples
            .iter()
            .take(self.documents)
            .map(result)
            .collect();
        results.map(|results| ExactMatch { results })
    }

    /// The score that `grade` gives to each document's answer, for metrics that the task file does not
    /// know. Where there are several filters, the answers are those that the first one left.
    ///
    /// # Errors
    ///
    /// When a score is not a finite number.
    pub fn scores(&self, grade: impl Fn(&TaskSample) -> f64) -> Result<Scores, crate::Error> {
        let samples = self.samples.iter().take(self.documents);
        let score = |sample: &TaskSample| ItemScore::new(sample.place.to_string(), grade(sample));
        Scores::new(samples.map(score).collect())
    }
}
