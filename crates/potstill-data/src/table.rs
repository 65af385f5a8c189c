//! Records in files, whatever the format.
//!
//! | extension | format | read | written |
//! |---|---|---|---|
//! | `.jsonl`, `.ndjson` | one JSON object a line | yes | yes |
//! | `.json` | one array of objects, or one object a line | yes | no |
//! | `.parquet` | Parquet, with the feature `parquet` | yes | yes |
//!
//! Files are read and written piece by piece: memory does not grow with them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::{Error, JsonlReader, Layout, Record};

mod json_array;
#[cfg(feature = "parquet")]
mod parquet_columns;
#[cfg(feature = "parquet")]
mod parquet_reader;
#[cfg(feature = "parquet")]
mod parquet_values;
#[cfg(feature = "parquet")]
mod parquet_writer;
mod rows;
mod writer;

use json_array::JsonArrayReader;
#[cfg(feature = "parquet")]
pub use parquet_reader::{ParquetReader, read_parquet};
#[cfg(feature = "parquet")]
pub use parquet_writer::ParquetWriter;
pub use rows::read_rows;
pub use writer::RecordWriter;

/// Opens a file of records; its extension says the format.
///
/// Records come one by one. One that cannot be read is an `Err` that names the file and the line or
/// row, and the next call goes on; only where the file itself is damaged does the iterator end. A
/// file without a record yields one [`Error::EmptyCorpus`].
///
/// # Errors
///
/// When the file cannot be opened, is not what its extension says, or the extension is unknown.
///
/// # Examples
///
/// ```
/// use potstill_data::{Layout, Record, RecordWriter, read_records};
/// # use potstill_testkit as _;
///
/// let folder = tempfile::tempdir()?;
/// let alpaca = folder.path().join("alpaca.json");
/// std::fs::write(&alpaca, r#"[{"instruction": "Add.", "input": "2 and 2", "output": "4"}]"#)?;
///
/// let records: Vec<Record> = read_records(&alpaca, Layout::Detect)?.collect::<Result<_, _>>()?;
/// let mut writer = RecordWriter::create(folder.path().join("train.jsonl"))?;
/// for record in &records {
///     writer.write(record)?;
/// }
/// assert_eq!(writer.finish()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_records(path: impl AsRef<Path>, layout: Layout) -> Result<RecordReader, Error> {
    let path = path.as_ref();
    Ok(RecordReader(match Format::of(path)? {
        Format::Jsonl => Reader::Jsonl(open(path)?.with_layout(layout)),
        Format::Json => {
            let mut file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
            if begins_an_array(&mut file).map_err(Error::io("read", path))? {
                Reader::Array(JsonArrayReader::new(file, path, layout))
            } else {
                Reader::Jsonl(JsonlReader::new(file, path).with_layout(layout))
            }
        }
        Format::Parquet => parquet(path, layout)?,
    }))
}

fn open(path: &Path) -> Result<JsonlReader<BufReader<File>>, Error> {
    crate::read_jsonl(path)
}

/// Skips white space and a byte-order mark.
fn begins_an_array(file: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let Some(&byte) = file.fill_buf()?.first() else {
            return Ok(false);
        };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => file.consume(1),
            byte => return Ok(byte == b'['),
        }
    }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path, layout: Layout) -> Result<Reader, Error> {
    Ok(Reader::Parquet(read_parquet(path)?.with_layout(layout)))
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path, _: Layout) -> Result<Reader, Error> {
    Err(Error::WithoutParquet { path: path.into() })
}

/// Records of a file, from [`read_records`].
#[derive(Debug)]
pub struct RecordReader(Reader);

#[derive(Debug)]
enum Reader {
    Jsonl(JsonlReader<BufReader<File>>),
    Array(JsonArrayReader<BufReader<File>>),
    #[cfg(feature = "parquet")]
    Parquet(ParquetReader),
}

impl Iterator for RecordReader {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Reader::Jsonl(reader) => reader.next(),
            Reader::Array(reader) => reader.next(),
            #[cfg(feature = "parquet")]
            Reader::Parquet(reader) => reader.next(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Jsonl,
    Json,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Error> {
        let extension = path.extension().map(|end| end.to_ascii_lowercase());
        match extension.as_deref().and_then(|end| end.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Error::UnknownFormat {
                path: PathBuf::from(path),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
