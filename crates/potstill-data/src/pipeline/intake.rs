//! Records from outside, cut into chunks.

use serde_json::json;

use super::PipelineOptions;
use super::making::Given;
use crate::Record;

/// Records from outside, on their way into chunks.
pub(super) struct Intake<'a> {
    input: &'a mut dyn Iterator<Item = Result<Record, String>>,
    records: usize,
    bytes: usize,
    pub(super) is_over: bool,
}

/// What was taken in at once.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) chunks: Vec<Given>,
    pub(super) records: u64,
    pub(super) unreadable: u64,
    /// Lines about the unreadable ones.
    pub(super) rejected: Vec<u8>,
}

impl<'a> Intake<'a> {
    /// Chunks end at so many records or bytes, as the options say.
    pub(super) fn new(
        input: &'a mut dyn Iterator<Item = Result<Record, String>>,
        options: &PipelineOptions,
    ) -> Self {
        Self {
            input,
            records: options.chunk_records,
            bytes: options.chunk_bytes,
            is_over: false,
        }
    }

    /// Reads at most `count` chunks, or as many unreadable records as would fill them.
    pub(super) fn take(&mut self, count: usize) -> Taken {
        let mut taken = Taken::default();
        let limit = (count * self.records) as u64;
        while !self.is_over && taken.chunks.len() < count && taken.unreadable < limit {
            let records = self.read_chunk(&mut taken, limit);
            if !records.is_empty() {
                taken.chunks.push(Given::Read(records));
            }
        }
        taken
    }

    fn read_chunk(&mut self, taken: &mut Taken, limit: u64) -> Vec<Record> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < self.records && bytes < self.bytes {
            match self.input.next() {
                Some(Ok(record)) => {
                    bytes += record.bytes();
                    taken.records += 1;
                    records.push(record);
                }
                Some(Err(problem)) => {
                    taken.records += 1;
                    taken.unreadable += 1;
                    let line = json!({
                        "stage": "input",
                        "reason": "unreadable",
                        "detail": problem,
                        "failed": false,
                        "record": null,
                    });
                    taken
                        .rejected
                        .extend_from_slice(line.to_string().as_bytes());
                    taken.rejected.push(b'\n');
                    if records.is_empty() && taken.unreadable >= limit {
                        break;
                    }
                }
                None => {
                    self.is_over = true;
                    break;
                }
            }
        }
        records
    }
}
