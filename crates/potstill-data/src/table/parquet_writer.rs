//! Records to a Parquet file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atomic_write_file::AtomicWriteFile;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::parquet_columns::{Columns, SCHEMA, WITHOUT_DICTIONARY};
use crate::{Error, Record};

/// A row group ends at so many rows or bytes of text, whichever comes first.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_BYTES: usize = 32 << 20;

/// Writes records to a Parquet file, which replaces what was there only when all are on disk.
///
/// Columns: `id`, `messages` (a list of `role` and `content`), `prompt`, `completion`, `text`,
/// `weight` and `meta` (the text of a JSON object). What a record does not have is null. Compressed
/// with zstd; memory holds one row group, about 32 MiB of text.
pub struct ParquetWriter {
    path: PathBuf,
    writer: SerializedFileWriter<AtomicWriteFile>,
    columns: Columns,
    written: usize,
}

impl fmt::Debug for ParquetWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetWriter")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl ParquetWriter {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = AtomicWriteFile::open(path).map_err(Error::io("write", path))?;
        let failed = || Error::parquet("write", path);
        let schema = parse_message_type(SCHEMA).map_err(failed())?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("potstill ", env!("CARGO_PKG_VERSION")).to_owned());
        for column in WITHOUT_DICTIONARY {
            let column = ColumnPath::new(column.iter().map(|&part| part.to_owned()).collect());
            properties = properties.set_column_dictionary_enabled(column, false);
        }
        let properties = Arc::new(properties.build());
        Ok(Self {
            path: path.into(),
            writer: SerializedFileWriter::new(file, Arc::new(schema), properties)
                .map_err(failed())?,
            columns: Columns::default(),
            written: 0,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        self.columns.push(record);
        self.written += 1;
        if self.columns.rows == GROUP_ROWS || self.columns.bytes >= GROUP_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let columns = std::mem::take(&mut self.columns);
        let write = |writer: &mut SerializedFileWriter<_>| columns.write(writer.next_row_group()?);
        write(&mut self.writer).map_err(Error::parquet("write", &self.path))
    }

    /// Puts the file in place. Returns how many records it has.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; whatever was there before is then untouched.
    pub fn finish(mut self) -> Result<usize, Error> {
        if self.columns.rows > 0 {
            self.end_group()?;
        }
        let file = self
            .writer
            .into_inner()
            .map_err(Error::parquet("write", &self.path))?;
        file.commit().map_err(Error::io("write", &self.path))?;
        Ok(self.written)
    }
}
