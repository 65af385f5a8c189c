//! Where the bytes of a file are.

use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read, Result, Seek, SeekFrom};

/// The bytes of a file, on disk or in memory.
pub(super) enum Contents {
    File(File),
    Memory(Cursor<Vec<u8>>),
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Contents {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        match self {
            Self::File(file) => file.seek(position),
            Self::Memory(bytes) => bytes.seek(position),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Memory(bytes) => write!(f, "{} bytes", bytes.get_ref().len()),
        }
    }
}
