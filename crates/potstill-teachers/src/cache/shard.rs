//! One file of rows, in the safetensors format.
//!
//! ```text
//! run_spans  U32 [runs, 2]        first position in the segment, number of rows
//! run_ids    U32 [runs]           first token id of the run, where rows have token ids apart
//! hidden.i   F16 [rows, d_model]  hidden state i, for each that is kept
//! log_probs  F16 [rows, vocab]    } one of these
//! top_k      U8  [rows, bytes]    }
//! draws      U8  [rows, bytes]    }
//! draw_ids   U8  [ids, bytes]     token ids of the draws, little-endian
//! run_keys   U8  [runs, 16]       hash of the segment
//! ```
//!
//! The rows of a run lie one after another, runs in the order of their rows.
//!
//! Files are read by seeking, not mapped. A map of a file that somebody cuts off kills the process
//! where a read gives an error, and needs `unsafe` or a crate that hides it; from a warm file both
//! copy the same pages, and a run is one read a column.

mod tensors;
mod write;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::CacheError;
use super::columns::{Columns, Layout, Run, ids_of};
use super::identity::sha256;
use super::manifest::ShardEntry;
use tensors::Places;

pub(super) use write::write_shard;

/// Largest header that is read; ours are far smaller.
const MAX_HEADER: u64 = 1 << 20;

/// A run and what it is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyedRun {
    pub(super) segment: u128,
    pub(super) position: u32,
    pub(super) run: Run,
}

/// An open shard.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    sha256: String,
    verified: bool,
    places: Places,
}

impl Shard {
    /// Opens the shard that `entry` names and reads what runs it holds, without verifying it.
    pub(super) fn open(
        folder: &Path,
        entry: &ShardEntry,
        number: usize,
        layout: &Layout,
    ) -> Result<(Self, Vec<KeyedRun>), CacheError> {
        let path = folder.join(&entry.file);
        let file = File::open(&path).map_err(CacheError::io("open", &path))?;
        let size = file
            .metadata()
            .map_err(CacheError::io("read", &path))?
            .len();
        if size != entry.bytes {
            return Err(CacheError::ShardSize {
                path,
                expected: entry.bytes,
                found: size,
            });
        }
        let mut shard = Self {
            path,
            file,
            sha256: entry.sha256.clone(),
            verified: false,
            places: Places::default(),
        };
        let start = 8 + shard.header_length(size)?;
        let header = shard.read(8, start - 8)?;
        shard.places = Places::new(&header, start, size, entry.rows, layout)
            .map_err(|reason| shard.wrong(reason))?;
        let runs = shard.runs(number)?;
        Ok((shard, runs))
    }

    fn header_length(&mut self, size: u64) -> Result<u64, CacheError> {
        let bytes = self.read(0, 8.min(size))?;
        let length = bytes
            .as_slice()
            .try_into()
            .map_or(u64::MAX, u64::from_le_bytes);
        if length > MAX_HEADER.min(size.saturating_sub(8)) {
            return Err(self.wrong(format!("its header claims {length} of its {size} bytes")));
        }
        Ok(length)
    }

    /// The index: which runs the shard holds.
    fn runs(&mut self, number: usize) -> Result<Vec<KeyedRun>, CacheError> {
        let places = self.places.clone();
        let [keys, spans, first_ids] = [&places.run_keys, &places.run_spans, &places.run_ids];
        let keys = self.read(keys.start, keys.end - keys.start)?;
        let spans = self.read(spans.start, spans.end - spans.start)?;
        let first_ids = self.read(first_ids.start, first_ids.end - first_ids.start)?;
        let number_at = |column: &[u8], i: usize| {
            column
                .as_chunks()
                .0
                .get(i)
                .map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        let rows = places.rows;
        let mut first_row = 0u32;
        let mut runs = Vec::with_capacity(keys.len() / 16);
        for (i, key) in keys.as_chunks().0.iter().enumerate() {
            let count = number_at(&spans, 2 * i + 1);
            runs.push(KeyedRun {
                segment: u128::from_le_bytes(*key),
                position: number_at(&spans, 2 * i),
                run: Run {
                    shard: number,
                    first_row,
                    rows: count,
                    first_id: number_at(&first_ids, i),
                },
            });
            let next = first_row.checked_add(count);
            first_row = next
                .filter(|&next| u64::from(next) <= rows)
                .ok_or_else(|| self.wrong(format!("its runs have more than its {rows} rows")))?;
        }
        if u64::from(first_row) != rows {
            return Err(self.wrong(format!("its runs have {first_row} of its {rows} rows")));
        }
        Ok(runs)
    }

    /// Compares the whole file with its checksum, once.
    pub(super) fn verify(&mut self) -> Result<(), CacheError> {
        if self.verified {
            return Ok(());
        }
        let read = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            sha256(file)
        };
        let found = read(&mut self.file).map_err(CacheError::io("read", &self.path))?;
        if found != self.sha256 {
            return Err(CacheError::Checksum {
                path: self.path.clone(),
                expected: self.sha256.clone(),
                found,
            });
        }
        self.verified = true;
        Ok(())
    }

    /// The rows of `run`. The shard is verified first.
    pub(super) fn rows(&mut self, run: Run, layout: &Layout) -> Result<Columns, CacheError> {
        self.verify()?;
        let rows = |begin: u64, width: usize| {
            let width = width as u64;
            (
                begin + u64::from(run.first_row) * width,
                u64::from(run.rows) * width,
            )
        };
        let places = self.places.clone();
        let (begin, bytes) = rows(places.fixed.start, layout.code.fixed_bytes());
        let fixed = self.read(begin, bytes)?;
        let token_ids = match layout.code.id_bytes() {
            Some(width) => {
                let (width, ids) = (width as u64, ids_of(&fixed, layout) as u64);
                let begin = places.token_ids.start + u64::from(run.first_id) * width;
                if begin + ids * width > places.token_ids.end {
                    return Err(self.wrong("a run calls for more token ids than there are".into()));
                }
                self.read(begin, ids * width)?
            }
            None => Vec::new(),
        };
        let mut hidden = Vec::with_capacity(places.hidden.len());
        for place in &places.hidden {
            let (begin, bytes) = rows(place.start, layout.hidden_bytes());
            hidden.push(self.read(begin, bytes)?);
        }
        Ok(Columns {
            rows: run.rows,
            fixed,
            token_ids,
            hidden,
        })
    }

    /// Names the file in an error about what it holds.
    pub(super) fn wrong(&self, reason: String) -> CacheError {
        CacheError::Shard {
            path: self.path.clone(),
            reason,
        }
    }

    /// `length` bytes from `begin`; both were compared with the size of the file.
    fn read(&mut self, begin: u64, length: u64) -> Result<Vec<u8>, CacheError> {
        let mut read = || -> std::io::Result<Vec<u8>> {
            let length = usize::try_from(length).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; length];
            self.file.seek(SeekFrom::Start(begin))?;
            self.file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(CacheError::io("read", &self.path))
    }
}
