//! A chunk on its way through stages that share a place on disk.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::chunks::{Receipt, lines, sha256};
use super::{
    Outcome, PipelineError, PipelineOptions, Rejected, Stage, StageContext, StageReport, Tally,
};
use crate::Record;

/// A stage's report before it has seen anything.
pub(super) fn empty_report(name: &str, configuration: Value) -> StageReport {
    StageReport {
        name: name.to_owned(),
        configuration_hash: sha256(configuration.to_string().as_bytes()),
        configuration,
        records_in: 0,
        text_bytes_in: 0,
        records_kept: 0,
        records_out: 0,
        rejected: BTreeMap::new(),
        failed: BTreeMap::new(),
        tally: Tally::default(),
        seconds: 0.0,
    }
}

/// Seed of a stage for the records of a chunk.
pub(super) fn stage_seed(seed: u64, stage: &str, key: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(stage);
    hasher.update([0]);
    hasher.update(key);
    let digest: [u8; 32] = hasher.finalize().into();
    let (first, _) = digest.as_chunks::<8>();
    u64::from_le_bytes(first[0])
}

/// What became of a chunk.
pub(super) struct Finished {
    pub(super) records: Vec<u8>,
    pub(super) rejected: Vec<u8>,
    pub(super) receipt: Receipt,
}

/// Collects what stages say about a chunk.
pub(super) struct Account {
    records: Vec<Record>,
    rejected: Vec<u8>,
    reports: Vec<StageReport>,
}

impl Account {
    pub(super) fn of(records: Vec<Record>) -> Self {
        Self {
            records,
            rejected: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Sends the records through a stage.
    pub(super) fn pass(
        &mut self,
        stage: &dyn Stage,
        options: &PipelineOptions,
        key: &str,
    ) -> Result<(), PipelineError> {
        let seed = stage_seed(options.seed, stage.name(), key);
        let context = StageContext::new(seed, &options.clock);
        let begun = Instant::now();
        let records = std::mem::take(&mut self.records);
        let given = records.len();
        let text_bytes: usize = records.iter().map(Record::text_bytes).sum();
        let outcomes = if given == 0 {
            Vec::new()
        } else {
            stage
                .run(records, &context)
                .map_err(|source| PipelineError::Stage {
                    stage: stage.name().to_owned(),
                    source,
                })?
        };
        let mut report = empty_report(stage.name(), stage.configuration());
        report.text_bytes_in = text_bytes as u64;
        report.tally = context.tally();
        report.seconds = begun.elapsed().as_secs_f64();
        self.settle(report, given, outcomes)
    }

    /// Notes what became of the records that a stage was given.
    pub(super) fn settle(
        &mut self,
        mut report: StageReport,
        given: usize,
        outcomes: Vec<Outcome>,
    ) -> Result<(), PipelineError> {
        let returned = outcomes.len();
        let empty = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Kept(kept) if kept.is_empty()));
        if returned != given || empty {
            return Err(PipelineError::Lost {
                stage: report.name,
                given,
                returned,
            });
        }
        report.records_in = given as u64;
        let mut records = Vec::with_capacity(given);
        for outcome in outcomes {
            match outcome {
                Outcome::Kept(kept) => {
                    report.records_kept += 1;
                    report.records_out += kept.len() as u64;
                    records.extend(kept);
                }
                Outcome::Rejected(rejected) => {
                    self.put_aside(&report.name, &rejected, false);
                    *report.rejected.entry(rejected.reason).or_default() += 1;
                }
                Outcome::Failed(failed) => {
                    self.put_aside(&report.name, &failed, true);
                    *report.failed.entry(failed.reason).or_default() += 1;
                }
            }
        }
        self.records = records;
        self.reports.push(report);
        Ok(())
    }

    fn put_aside(&mut self, stage: &str, rejected: &Rejected, failed: bool) {
        let line = json!({
            "stage": stage,
            "reason": rejected.reason,
            "detail": rejected.detail,
            "failed": failed,
        });
        let line = line.to_string();
        // The record is JSON already.
        let head = line.trim_end_matches('}');
        let record = rejected.record.to_json();
        self.rejected
            .extend_from_slice(format!("{head},\"record\":{record}}}\n").as_bytes());
    }

    pub(super) fn finish(self) -> Finished {
        let records = lines(&self.records);
        let receipt = Receipt {
            reports: self.reports,
            records: self.records.len() as u64,
            records_sha256: sha256(&records),
            rejected_sha256: sha256(&self.rejected),
        };
        Finished {
            records,
            rejected: self.rejected,
            receipt,
        }
    }
}
