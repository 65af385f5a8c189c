//! Reads `metrics.jsonl`, the log of a training run.
//!
//! One JSON object a line:
//!
//! ```json
//! {"schema": "potstill.metrics/1", "step": 20, "kind": "train", "values": {"loss": 1.25}}
//! ```

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Chart, Error, Point, Scale, Series};

const SCHEMA: &str = "potstill.metrics/1";

/// What a line of the log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// An optimizer step.
    Train,
    /// An evaluation during training.
    Evaluation,
    /// Anything that this version does not know.
    #[serde(other)]
    Other,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// Optimizer steps so far.
    pub step: u64,
    /// What it is about.
    pub kind: LogKind,
    /// Named numbers in their order; those that JSON cannot hold are NaN or infinite.
    pub values: Vec<(String, f64)>,
}

/// The log of a training run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsLog {
    /// The lines in their order.
    pub lines: Vec<LogLine>,
}

/// What is wrong with a line of the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is not JSON, or lacks a field.
    #[error("not a line of metrics: {0}")]
    Json(#[from] serde_json::Error),
    /// It follows another schema.
    #[error("the schema is {found:?}, this version reads {SCHEMA:?}")]
    Schema {
        /// Its schema.
        found: String,
    },
    /// A value that is not a number.
    #[error("{name:?} is {value}, it must be a number")]
    Value {
        /// Name of the value.
        name: String,
        /// The value.
        value: Value,
    },
}

#[derive(Deserialize)]
struct RawLine {
    schema: String,
    step: u64,
    kind: LogKind,
    values: Map<String, Value>,
}

impl MetricsLog {
    /// Reads the log at `path`. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or a line is malformed; the message gives its number.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        let lines = text.lines().enumerate().map(|(index, line)| {
            parse(line).map_err(|problem| Error::MetricsLine {
                path: path.into(),
                line: index + 1,
                problem: Box::new(problem),
            })
        });
        Ok(Self {
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    /// The values called `name` in lines of one kind.
    #[must_use]
    pub fn points(&self, kind: LogKind, name: &str) -> Vec<Point> {
        let lines = self.lines.iter().filter(|line| line.kind == kind);
        lines
            .filter_map(|line| {
                let (_, value) = line.values.iter().find(|(found, _)| found == name)?;
                Some(Point {
                    step: line.step,
                    value: *value,
                })
            })
            .collect()
    }

    /// The names of values in lines of one kind, in the order of their first appearance.
    #[must_use]
    pub fn names(&self, kind: LogKind) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self
            .lines
            .iter()
            .filter(|line| line.kind == kind)
            .flat_map(|l| &l.values)
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// A chart of the training loss and one of each metric that was evaluated during training.
    ///
    /// Names end up as people write them: `forward_kl` as "Forward KL". Losses and divergences are
    /// drawn on a logarithmic scale where they span more than a factor of ten.
    #[must_use]
    pub fn charts(&self) -> Vec<Chart> {
        let loss = self.points(LogKind::Train, "loss");
        let train = (!loss.is_empty()).then(|| chart("Training loss", "loss", "train", loss));
        let evaluated = self.names(LogKind::Evaluation).into_iter().map(|name| {
            let points = self.points(LogKind::Evaluation, name);
            chart(
                &format!("Held-out {}", spoken(name)),
                name,
                "held-out",
                points,
            )
        });
        train.into_iter().chain(evaluated).collect()
    }
}

fn chart(title: &str, name: &str, series: &str, points: Vec<Point>) -> Chart {
    Chart {
        title: title.into(),
        value_label: unit(name).into(),
        scale: if is_share(name) {
            Scale::Linear
        } else {
            Scale::Log
        },
        series: vec![Series {
            name: series.into(),
            points,
        }],
    }
}

fn is_share(name: &str) -> bool {
    name.contains("agreement") || name.contains("accuracy") || name.contains("match")
}

fn unit(name: &str) -> &'static str {
    if is_share(name) {
        "share"
    } else if name.contains("perplexity") {
        "perplexity"
    } else if name.contains("loss") {
        "loss"
    } else if name.contains("kl") || name.contains("nll") {
        "nats per token"
    } else {
        "value"
    }
}

fn spoken(name: &str) -> String {
    let words = name.split('_').map(|word| match word {
        "kl" => "KL",
        "nll" => "NLL",
        "top1" => "top-1",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn parse(line: &str) -> Result<LogLine, LineProblem> {
    let raw: RawLine = serde_json::from_str(line)?;
    if raw.schema != SCHEMA {
        return Err(LineProblem::Schema { found: raw.schema });
    }
    let values = raw.values.into_iter().map(|(name, value)| {
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::Null => Some(f64::NAN),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .map(|number| (name.clone(), number))
            .ok_or(LineProblem::Value { name, value })
    });
    Ok(LogLine {
        step: raw.step,
        kind: raw.kind,
        values: values.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
