//! Experiments and runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Entry, entries};
use super::{MlflowClient, MlflowError};

/// Most parameters and metrics of one request.
const PARAMS: usize = 100;
const METRICS: usize = 500;

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MlflowMetric {
    /// Name; MLflow takes letters, digits, dashes, dots, slashes, spaces and underscores.
    pub key: String,
    /// Value; MLflow keeps NaN, but takes infinity for the largest number there is.
    pub value: f64,
    /// When it was measured.
    pub at: Timestamp,
    /// Step of the run.
    pub step: i64,
}

impl MlflowMetric {
    /// A value that was measured now and belongs to no step.
    #[must_use]
    pub fn new(key: impl Into<String>, value: f64) -> Self {
        Self {
            key: key.into(),
            value,
            at: Timestamp::now(),
            step: 0,
        }
    }
}

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum MlflowStatus {
    /// It goes on.
    Running,
    /// It waits.
    Scheduled,
    /// It ended well.
    Finished,
    /// It failed.
    Failed,
    /// Somebody stopped it.
    Killed,
}

/// A run as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct MlflowRun {
    /// Its id.
    pub id: String,
    /// Id of its experiment.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: MlflowStatus,
    /// Where its files belong.
    pub artifact_uri: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// The last value of each metric.
    pub metrics: Vec<MlflowMetric>,
    /// Its tags, MLflow's own included.
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: RunBody,
}

#[derive(Deserialize)]
struct RunBody {
    info: RunInfo,
    #[serde(default)]
    data: RunData,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
    experiment_id: String,
    #[serde(default)]
    run_name: String,
    status: MlflowStatus,
    #[serde(default)]
    artifact_uri: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RunData {
    metrics: Vec<MetricBody>,
    params: Vec<Entry>,
    tags: Vec<Entry>,
}

#[derive(Deserialize)]
struct MetricBody {
    key: String,
    value: Number,
    timestamp: i64,
    #[serde(default)]
    step: i64,
}

/// Numbers that JSON has no notation for are names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Name(String),
}

impl MlflowClient {
    /// The id of the experiment of this name, which is created unless it is there.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn experiment(&self, name: &str) -> Result<String, MlflowError> {
        #[derive(Deserialize)]
        struct Id {
            experiment_id: String,
        }
        #[derive(Deserialize)]
        struct Found {
            experiment: Id,
        }
        match self.post::<Id>("experiments/create", &json!({"name": name})) {
            Ok(created) => Ok(created.experiment_id),
            Err(error) if error.is_presence() => {
                let query = [("experiment_name", name)];
                let found: Found = self.get("experiments/get-by-name", &query)?;
                Ok(found.experiment.experiment_id)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins a run and gives its id.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn start_run(
        &self,
        experiment_id: &str,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<String, MlflowError> {
        let body = json!({
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": Timestamp::now().as_millisecond(),
            "tags": entries(tags),
        });
        let answer: RunAnswer = self.post("runs/create", &body)?;
        Ok(answer.run.info.run_id)
    }

    /// Adds parameters and metrics to a run.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses, as it does for names it does not like and for a
    /// parameter that has another value already; what was sent before then is there.
    pub fn log(
        &self,
        run_id: &str,
        params: &BTreeMap<String, String>,
        metrics: &[MlflowMetric],
    ) -> Result<(), MlflowError> {
        let params = entries(params);
        for params in params.chunks(PARAMS) {
            let body = json!({"run_id": run_id, "params": params});
            self.post::<Value>("runs/log-batch", &body)?;
        }
        for metrics in metrics.chunks(METRICS) {
            let metrics: Vec<Value> = metrics.iter().map(metric_body).collect();
            let body = json!({"run_id": run_id, "metrics": metrics});
            self.post::<Value>("runs/log-batch", &body)?;
        }
        Ok(())
    }

    /// Ends a run.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn end_run(&self, run_id: &str, status: MlflowStatus) -> Result<(), MlflowError> {
        let body = json!({
            "run_id": run_id,
            "status": status,
            "end_time": Timestamp::now().as_millisecond(),
        });
        self.post::<Value>("runs/update", &body).map(drop)
    }

    /// A run.
    ///
    /// # Errors
    ///
    /// When the server does not answer or has no such run.
    pub fn run(&self, run_id: &str) -> Result<MlflowRun, MlflowError> {
        let call = "runs/get";
        let RunBody { info, data } = self.get::<RunAnswer>(call, &[("run_id", run_id)])?.run;
        let metric = |body: MetricBody| {
            let out_of_range = |_| MlflowError::Answer {
                call: call.into(),
                problem: format!("{} was measured at {}", body.key, body.timestamp),
            };
            Ok::<_, MlflowError>(MlflowMetric {
                at: Timestamp::from_millisecond(body.timestamp).map_err(out_of_range)?,
                key: body.key,
                step: body.step,
                value: match body.value {
                    Number::Finite(value) => value,
                    Number::Name(name) => name.parse().unwrap_or(f64::NAN),
                },
            })
        };
        let map = |entries: Vec<Entry>| entries.into_iter().map(|entry| (entry.key, entry.value));
        Ok(MlflowRun {
            id: info.run_id,
            experiment_id: info.experiment_id,
            name: info.run_name,
            status: info.status,
            artifact_uri: info.artifact_uri,
            params: map(data.params).collect(),
            metrics: data
                .metrics
                .into_iter()
                .map(metric)
                .collect::<Result<_, _>>()?,
            tags: map(data.tags).collect(),
        })
    }
}

fn metric_body(metric: &MlflowMetric) -> Value {
    let value = match metric.value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("NaN"),
        value => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
    };
    json!({
        "key": metric.key,
        "value": value,
        "timestamp": metric.at.as_millisecond(),
        "step": metric.step,
    })
}
