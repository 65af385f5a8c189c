//! `metrics.jsonl`: one JSON object a line.
//!
//! ```text
//! {"schema":"potstill.metrics/1","step":20,"at":"2026-03-01T12:00:00.250Z","kind":"train","values":{"loss":0.61,...}}
//! {"schema":"potstill.metrics/1","step":20,"at":"2026-03-01T12:00:01.125Z","kind":"evaluation","values":{"kl":0.58,...}}
//! ```
//!
//! `step` counts finished steps. A training line holds `loss`, one `loss/NAME` for each term (its
//! unweighted mean), `learning_rate`, `grad_norm`, `rows`, `tokens`, `seconds`, `tokens_per_second`,
//! `rows_per_second`, where they are known `utilization`, `memory_bytes` and `peak_memory_bytes`, and one
//! `source/NAME` for each observation of the batch source. A line of the kind `halved` says that memory
//! ran out and into how many micro-batches a step is cut from there on. A value that is not finite is
//! `null`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::durable::write_file;
use crate::ending::now;
use crate::{Error, Metrics};

const SCHEMA: &str = "potstill.metrics/1";

/// The open log of a run.
#[derive(Debug)]
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the log with the lines up to `kept_steps`, none without a number: a run that continues
    /// from a checkpoint writes the later ones again. A line that a crash has cut off goes, too.
    pub(crate) fn open(path: &Path, kept_steps: Option<usize>) -> Result<Self, Error> {
        match fs::read(path) {
            // As bytes: a crash can cut a character in two.
            Ok(bytes) => {
                let is_kept = |line: &&[u8]| {
                    let step = line.ends_with(b"\n").then(|| line_step(line)).flatten();
                    step.is_some_and(|step| Some(step) <= kept_steps)
                };
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                let kept: Vec<u8> = lines.filter(is_kept).flatten().copied().collect();
                if kept.len() < bytes.len() {
                    write_file(path, &kept)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(Error::io("write", path))?,
        })
    }

    pub(crate) fn train(&mut self, step: usize, values: Vec<(String, f64)>) -> Result<(), Error> {
        let values = values.into_iter();
        self.append(
            step,
            "train",
            values.map(|(name, value)| (name, value.into())).collect(),
        )
    }

    pub(crate) fn halved(&mut self, step: usize, micro_batches: usize) -> Result<(), Error> {
        let values = Map::from_iter([("micro_batches".to_owned(), micro_batches.into())]);
        self.append(step, "halved", values)
    }

    pub(crate) fn evaluation(&mut self, step: usize, metrics: &Metrics) -> Result<(), Error> {
        let values = metrics
            .iter()
            .map(|(name, &value)| (name.clone(), value.into()));
        self.append(step, "evaluation", values.collect())
    }

    /// Makes sure that what was written survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(Error::io("write", &self.path))
    }

    fn append(&mut self, step: usize, kind: &str, values: Map<String, Value>) -> Result<(), Error> {
        let line = json!({
            "schema": SCHEMA, "step": step, "at": now(), "kind": kind, "values": values,
        });
        // One write, so that a reader never sees half of a line.
        let line = format!("{line}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(Error::io("write", &self.path))
    }
}

fn line_step(line: &[u8]) -> Option<usize> {
    let line: Value = serde_json::from_slice(line).ok()?;
    usize::try_from(line.get("step")?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuing_drops_later_lines_and_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, None).unwrap();
        for step in 1..=4 {
            log.evaluation(step, &Metrics::from([("kl".into(), 0.5)]))
                .unwrap();
        }
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(b"{\"schema\":\"potstill.met\xc3");
        fs::write(&path, bytes).unwrap();

        let mut log = MetricsLog::open(&path, Some(2)).unwrap();
        log.evaluation(3, &Metrics::from([("kl".into(), f64::NAN)]))
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<usize> = text
            .lines()
            .filter_map(|line| line_step(line.as_bytes()))
            .collect();
        assert_eq!(steps, [1, 2, 3]);
        assert!(text.ends_with("\"values\":{\"kl\":null}}\n"), "{text}");
    }
}
