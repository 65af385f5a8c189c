//! Records to a file, whatever the format.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;

use super::Format;
#[cfg(feature = "parquet")]
use super::ParquetWriter;
use crate::{Error, Record};

/// Writes records one by one to a file whose extension says the format, `.jsonl`, `.ndjson` or
/// `.parquet`.
///
/// What was there before is replaced by [`finish`](Self::finish), and not before.
#[derive(Debug)]
pub struct RecordWriter(Writer);

#[derive(Debug)]
enum Writer {
    Jsonl(JsonlWriter),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetWriter>),
}

#[derive(Debug)]
struct JsonlWriter {
    path: PathBuf,
    file: BufWriter<AtomicWriteFile>,
    written: usize,
}

impl RecordWriter {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be created, or its extension is unknown.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        match Format::of(path)? {
            Format::Jsonl => Self::jsonl(path),
            Format::Json => Err(Error::UnknownFormat { path: path.into() }),
            #[cfg(feature = "parquet")]
            Format::Parquet => Ok(Self(Writer::Parquet(Box::new(ParquetWriter::create(
                path,
            )?)))),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Err(Error::WithoutParquet { path: path.into() }),
        }
    }

    pub(crate) fn jsonl(path: &Path) -> Result<Self, Error> {
        let file = AtomicWriteFile::open(path).map_err(Error::io("write", path))?;
        Ok(Self(Writer::Jsonl(JsonlWriter {
            path: path.into(),
            file: BufWriter::new(file),
            written: 0,
        })))
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        match &mut self.0 {
            Writer::Jsonl(writer) => writer.write(record),
            #[cfg(feature = "parquet")]
            Writer::Parquet(writer) => writer.write(record),
        }
    }

    /// Puts the file in place. Returns how many records it has.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; whatever was there before is then untouched.
    pub fn finish(self) -> Result<usize, Error> {
        match self.0 {
            Writer::Jsonl(writer) => writer.finish(),
            #[cfg(feature = "parquet")]
            Writer::Parquet(writer) => writer.finish(),
        }
    }
}

impl JsonlWriter {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        self.written += 1;
        writeln!(self.file, "{}", record.to_json()).map_err(Error::io("write", &self.path))
    }

    fn finish(self) -> Result<usize, Error> {
        let failed = || Error::io("write", &self.path);
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed()(error.into_error()))?;
        file.commit().map_err(failed())?;
        Ok(self.written)
    }
}
