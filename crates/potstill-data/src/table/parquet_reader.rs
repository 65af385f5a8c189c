//! Records from a Parquet file.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::SerializedFileReader;
use parquet::record::reader::RowIter;
use serde_json::{Map, Value};

use super::parquet_values::keys;
use crate::{Error, Layout, Record};

/// Opens a Parquet file of records.
///
/// Columns are what keys are in JSON; a `meta` column holds an object, or the text of one.
///
/// # Errors
///
/// When the file cannot be opened or is no Parquet file.
pub fn read_parquet(path: impl AsRef<Path>) -> Result<ParquetReader, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io("open", path))?;
    let rows = guarded(|| {
        let reader = SerializedFileReader::new(file)?;
        Ok(RowIter::from_file_into(Box::new(reader)))
    });
    Ok(ParquetReader {
        rows: rows.map_err(Error::parquet("read", path))?,
        path: path.into(),
        layout: Layout::Detect,
        row: 0,
        ended: false,
    })
}

/// All rows of a Parquet file, whatever is in them.
pub(super) fn all_rows(path: &Path) -> Result<Vec<Map<String, Value>>, Error> {
    let mut rows = read_parquet(path)?.rows;
    guarded(|| rows.by_ref().map(|row| row.map(keys)).collect())
        .map_err(Error::parquet("read", path))
}

/// Records of a Parquet file, read a page of each column at a time.
///
/// A row that is not a record is an `Err`, and the next call goes on with the next row. After damage
/// the iterator ends. A file without a row yields one [`Error::EmptyCorpus`].
pub struct ParquetReader {
    rows: RowIter<'static>,
    path: PathBuf,
    layout: Layout,
    /// Number of the last row, from 1.
    row: usize,
    ended: bool,
}

impl fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetReader")
            .field("path", &self.path)
            .field("layout", &self.layout)
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

impl ParquetReader {
    /// Names the layout of the records.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }
}

impl Iterator for ParquetReader {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let rows = &mut self.rows;
        let row = guarded(|| rows.next().map(|row| row.map(keys)).transpose());
        self.row += 1;
        match row {
            Ok(Some(keys)) => Some(
                Record::from_keys(with_read_meta(keys), self.layout).map_err(|problem| {
                    Error::Row {
                        path: self.path.clone(),
                        row: self.row,
                        problem: Box::new(problem),
                    }
                }),
            ),
            Ok(None) => {
                self.ended = true;
                (self.row == 1).then(|| {
                    Err(Error::EmptyCorpus {
                        path: self.path.clone(),
                    })
                })
            }
            Err(problem) => {
                self.ended = true;
                Some(Err(Error::parquet("read", &self.path)(problem)))
            }
        }
    }
}

/// Parquet has no type for any object, so that ours are written as text.
fn with_read_meta(mut keys: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::String(text)) = keys.get("meta")
        && let Ok(object @ Value::Object(_)) = serde_json::from_str(text)
    {
        keys.insert("meta".into(), object);
    }
    keys
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The decoder panics on some damaged files, which are the world's fault and not the caller's.
fn guarded<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, Problem> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err("the file is damaged: its decoder panicked".into()),
    }
}
