//! What a segment made of a chunk, on disk.
//!
//! A chunk is three files: its records, those that did not go on, and a receipt, which is written
//! last. Without a receipt a chunk does not exist.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PipelineError, StageReport};
use crate::Record;

/// Changes when the same stages would write other chunks.
const SCHEMA: &str = "potstill.chunk/2";

/// What makes a chunk what it is.
pub(super) struct KeyParts<'a> {
    pub(super) seed: u64,
    /// Name and hash of the configuration of each stage.
    pub(super) stages: &'a [(String, String)],
    /// Hash of what a stage saw besides the chunk.
    pub(super) surroundings: &'a str,
    /// Hash of the chunk's records.
    pub(super) content: &'a str,
}

impl KeyParts<'_> {
    pub(super) fn key(&self) -> String {
        let mut hasher = Sha256::new();
        let mut put = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        put(SCHEMA);
        put(&self.seed.to_string());
        for (name, configuration) in self.stages {
            put(name);
            put(configuration);
        }
        put(self.surroundings);
        put(self.content);
        hex(&hasher.finalize())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The records of a chunk as they are written.
pub(super) fn lines(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(record.to_json().as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// The account of a chunk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// One report for each stage of the segment, about this chunk.
    pub(super) reports: Vec<StageReport>,
    pub(super) records: u64,
    pub(super) records_sha256: String,
    pub(super) rejected_sha256: String,
}

impl Receipt {
    pub(super) fn has_failures(&self) -> bool {
        self.reports.iter().any(|report| report.failures() > 0)
    }
}

#[derive(Clone, Debug)]
pub(super) struct ChunkStore {
    folder: PathBuf,
}

impl ChunkStore {
    /// The chunks of a run's folder, which is there.
    pub(super) fn open(folder: &Path) -> Self {
        Self {
            folder: folder.join("chunks"),
        }
    }

    pub(super) fn records_path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.jsonl"))
    }

    pub(super) fn rejected_path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.rejected.jsonl"))
    }

    fn receipt_path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// The receipt of a chunk that is there, whole, and has nothing left to try again.
    pub(super) fn find(&self, key: &str) -> Option<Receipt> {
        let receipt: Receipt =
            serde_json::from_slice(&fs::read(self.receipt_path(key)).ok()?).ok()?;
        let whole = is_file(&self.records_path(key), &receipt.records_sha256)
            && is_file(&self.rejected_path(key), &receipt.rejected_sha256);
        if !whole {
            tracing::warn!(chunk = key, "a chunk is damaged and is made anew");
        }
        (whole && !receipt.has_failures()).then_some(receipt)
    }

    pub(super) fn write(
        &self,
        key: &str,
        records: &[u8],
        rejected: &[u8],
        receipt: &Receipt,
    ) -> Result<(), PipelineError> {
        write_atomically(&self.records_path(key), records)?;
        write_atomically(&self.rejected_path(key), rejected)?;
        let receipt = serde_json::to_vec_pretty(receipt).map_err(|error| PipelineError::Io {
            action: "write",
            path: self.receipt_path(key),
            source: error.into(),
        })?;
        write_atomically(&self.receipt_path(key), &receipt)
    }

    pub(super) fn read(&self, key: &str) -> Result<Vec<Record>, PipelineError> {
        let path = self.records_path(key);
        let text = fs::read_to_string(&path).map_err(PipelineError::io("read", &path))?;
        text.lines()
            .map(|line| {
                Record::from_json(line).map_err(|problem| PipelineError::Damaged {
                    path: path.clone(),
                    problem: problem.to_string(),
                })
            })
            .collect()
    }
}

fn is_file(path: &Path, expected_sha256: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| sha256(&bytes) == expected_sha256)
}

pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(bytes)?;
        file.commit()
    };
    write().map_err(PipelineError::io("write", path))
}

/// A file that grows from others and replaces its target only when it is whole.
pub(super) struct Collected {
    path: PathBuf,
    file: BufWriter<AtomicWriteFile>,
    hasher: Sha256,
}

impl Collected {
    pub(super) fn create(path: PathBuf) -> Result<Self, PipelineError> {
        let file = AtomicWriteFile::open(&path).map_err(PipelineError::io("create", &path))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            hasher: Sha256::new(),
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(PipelineError::io("write", &self.path))
    }

    pub(super) fn append_file(&mut self, path: &Path) -> Result<(), PipelineError> {
        let file = File::open(path).map_err(PipelineError::io("read", path))?;
        let mut reader = BufReader::new(file);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(PipelineError::io("read", path))?;
            if count == 0 {
                return Ok(());
            }
            self.append(&buffer[..count])?;
        }
    }

    /// Puts it in place and returns its SHA-256.
    pub(super) fn commit(self) -> Result<String, PipelineError> {
        let failed = || PipelineError::io("write", &self.path);
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed()(error.into_error()))?;
        file.commit().map_err(failed())?;
        Ok(hex(&self.hasher.finalize()))
    }
}
