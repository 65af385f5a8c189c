//! Reading values from a file whose header cannot be trusted.

use std::io::{BufReader, Read};
use std::path::PathBuf;

use super::{Contents, GgufProblem, MetadataValue};
use crate::Error;

/// Most memory that a header may take, several times that of the largest known vocabulary. A value
/// takes more memory than file, so that the size of a large file alone is no bound.
const MEMORY: u64 = 1 << 29;

/// A little-endian reader that compares every length with what is left of the file, and of
/// [`MEMORY`], before it allocates.
pub(super) struct HeaderReader<'a> {
    input: BufReader<&'a mut Contents>,
    path: PathBuf,
    position: u64,
    length: u64,
    memory_left: u64,
}

impl<'a> HeaderReader<'a> {
    pub(super) fn new(contents: &'a mut Contents, path: PathBuf, length: u64) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, contents),
            path,
            position: 0,
            length,
            memory_left: MEMORY,
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn error(&self, problem: GgufProblem) -> Error {
        Error::Gguf {
            path: self.path.clone(),
            problem: Box::new(problem),
        }
    }

    /// Fails unless `count` items of at least `item_bytes` fit into the rest of the file, and into
    /// memory as `T`s.
    pub(super) fn claim<T>(
        &mut self,
        what: &str,
        count: u64,
        item_bytes: u64,
    ) -> Result<(), Error> {
        self.check(what, count, item_bytes)?;
        let needed = count.saturating_mul(size_of::<T>() as u64);
        let Some(left) = self.memory_left.checked_sub(needed) else {
            return Err(self.error(GgufProblem::HeaderTooLarge {
                what: what.to_owned(),
                at: self.position,
                needed,
                left: self.memory_left,
            }));
        };
        self.memory_left = left;
        Ok(())
    }

    fn check(&self, what: &str, count: u64, item_bytes: u64) -> Result<(), Error> {
        let left = self.length.saturating_sub(self.position);
        let needed = count.saturating_mul(item_bytes);
        if needed <= left {
            return Ok(());
        }
        Err(self.error(GgufProblem::Truncated {
            what: what.to_owned(),
            at: self.position,
            needed,
            left,
        }))
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Error> {
        self.check(what, 1, N as u64)?;
        let mut bytes = [0; N];
        self.input
            .read_exact(&mut bytes)
            .map_err(Error::io("read", &self.path))?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String, Error> {
        let length = self.u64(what)?;
        self.claim::<u8>(what, length, 1)?;
        let at = self.position;
        let mut bytes = vec![0; usize_from(length)];
        self.input
            .read_exact(&mut bytes)
            .map_err(Error::io("read", &self.path))?;
        self.position += length;
        String::from_utf8(bytes).map_err(|_| {
            self.error(GgufProblem::NotUtf8 {
                what: what.to_owned(),
                at,
            })
        })
    }

    /// The value of metadata `key`.
    pub(super) fn value(&mut self, key: &str) -> Result<MetadataValue, Error> {
        let kind = self.u32(key)?;
        if kind != ARRAY {
            return self.scalar(key, kind);
        }
        let kind = self.u32(key)?;
        let Some(item_bytes) = smallest_size(kind) else {
            return Err(self.error(GgufProblem::ValueType {
                key: key.to_owned(),
                found: kind,
            }));
        };
        let count = self.u64(key)?;
        self.claim::<MetadataValue>(key, count, item_bytes)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.scalar(key, kind)?);
        }
        Ok(MetadataValue::Array(items))
    }

    fn scalar(&mut self, key: &str, kind: u32) -> Result<MetadataValue, Error> {
        Ok(match kind {
            0 => MetadataValue::Unsigned(u8::from_le_bytes(self.array(key)?).into()),
            1 => MetadataValue::Signed(i8::from_le_bytes(self.array(key)?).into()),
            2 => MetadataValue::Unsigned(u16::from_le_bytes(self.array(key)?).into()),
            3 => MetadataValue::Signed(i16::from_le_bytes(self.array(key)?).into()),
            4 => MetadataValue::Unsigned(self.u32(key)?.into()),
            5 => MetadataValue::Signed(i32::from_le_bytes(self.array(key)?).into()),
            6 => MetadataValue::Float(f32::from_le_bytes(self.array(key)?).into()),
            7 => MetadataValue::Bool(self.array::<1>(key)? != [0]),
            8 => MetadataValue::String(self.string(key)?),
            10 => MetadataValue::Unsigned(self.u64(key)?),
            11 => MetadataValue::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => MetadataValue::Float(f64::from_le_bytes(self.array(key)?)),
            found => {
                return Err(self.error(GgufProblem::ValueType {
                    key: key.to_owned(),
                    found,
                }));
            }
        })
    }
}

const ARRAY: u32 = 9;

/// The fewest bytes that a scalar of a type takes in the file.
fn smallest_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        8 | 10..=12 => Some(8),
        _ => None,
    }
}

/// A length that was compared with the size of a file.
fn usize_from(checked: u64) -> usize {
    usize::try_from(checked).unwrap_or(usize::MAX)
}
