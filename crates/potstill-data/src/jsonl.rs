//! Records in a file, one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Layout, Record, RecordWriter};

const DEFAULT_MAX_LINE_BYTES: usize = 16 << 20;

/// Opens a JSONL file of records.
///
/// Blank lines and a byte-order mark are skipped.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn read_jsonl(path: impl AsRef<Path>) -> Result<JsonlReader<BufReader<File>>, Error> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io("open", path))?;
    Ok(JsonlReader::new(BufReader::new(file), path))
}

/// Records read one by one.
///
/// A line that is not a record is an `Err`, and the next call goes on with the next line. After a
/// line that cannot be read at all the iterator ends. A source without a record yields one
/// [`Error::EmptyCorpus`].
#[derive(Debug)]
pub struct JsonlReader<R> {
    reader: R,
    path: PathBuf,
    layout: Layout,
    line: usize,
    max_line_bytes: usize,
    buffer: Vec<u8>,
    found_any: bool,
    ended: bool,
}

impl<R: BufRead> JsonlReader<R> {
    /// Reads records from `reader`; `path` names it in errors.
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Self {
        Self {
            reader,
            path: path.into(),
            layout: Layout::Detect,
            line: 0,
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            buffer: Vec::new(),
            found_any: false,
            ended: false,
        }
    }

    /// Changes the length of the longest line that is read, 16 MiB by default.
    #[must_use]
    pub fn with_max_line_bytes(mut self, max_line_bytes: usize) -> Self {
        self.max_line_bytes = max_line_bytes;
        self
    }

    /// Names the layout of the records.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    fn next_line(&mut self) -> Result<Option<&str>, Error> {
        self.buffer.clear();
        self.line += 1;
        // One byte for the newline, one to notice that the limit is exceeded.
        let limit = (self.max_line_bytes as u64).saturating_add(2);
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(Error::io("read", &self.path));
        if read.inspect_err(|_| self.ended = true)? == 0 {
            return Ok(None);
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        if line.len() > self.max_line_bytes {
            self.ended = true;
            return Err(Error::LineTooLong {
                path: self.path.clone(),
                line: self.line,
                limit: self.max_line_bytes,
            });
        }
        let text = str::from_utf8(line).map_err(|_| Error::NotUtf8 {
            path: self.path.clone(),
            line: self.line,
        })?;
        Ok(Some(if self.line == 1 {
            text.strip_prefix('\u{feff}').unwrap_or(text)
        } else {
            text
        }))
    }

    fn next_record(&mut self) -> Result<Option<Record>, Error> {
        let layout = self.layout;
        loop {
            let parsed = match self.next_line()? {
                None => return Ok(None),
                Some(line) if line.trim().is_empty() => continue,
                Some(line) => Record::from_json_as(line, layout),
            };
            let (path, line) = (&self.path, self.line);
            return parsed.map(Some).map_err(|problem| Error::Record {
                path: path.clone(),
                line,
                problem: Box::new(problem),
            });
        }
    }
}

impl<R: BufRead> Iterator for JsonlReader<R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_record().transpose();
        match next {
            None => {
                self.ended = true;
                (!self.found_any).then(|| {
                    Err(Error::EmptyCorpus {
                        path: self.path.clone(),
                    })
                })
            }
            Some(_) => {
                self.found_any = true;
                next
            }
        }
    }
}

/// Writes records to a JSONL file, replacing it only when all are on disk. Returns how many.
///
/// # Errors
///
/// When the file cannot be written; whatever was there before is then untouched.
pub fn write_jsonl<'a>(
    path: impl AsRef<Path>,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<usize, Error> {
    let mut writer = RecordWriter::jsonl(path.as_ref())?;
    for record in records {
        writer.write(record)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;

    fn read(bytes: &[u8]) -> Vec<Result<Record, Error>> {
        JsonlReader::new(bytes, "corpus.jsonl")
            .with_max_line_bytes(40)
            .collect()
    }

    fn messages(bytes: &[u8]) -> Vec<String> {
        read(bytes)
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect()
    }

    #[test]
    fn blank_lines_a_byte_order_mark_and_carriage_returns_are_allowed() {
        let records = read("\u{feff}{\"text\": \"a\"}\r\n\n  \n{\"text\": \"b\"}".as_bytes());
        let texts: Vec<Content> = records
            .into_iter()
            .map(|record| record.unwrap().content)
            .collect();
        assert_eq!(
            texts,
            [Content::Text("a".into()), Content::Text("b".into())]
        );
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_one_is_read() {
        let records = read(b"{\"text\": \"a\"}\n{\"txt\": \"b\"}\n{\"text\": \"c\"}\n");
        assert_eq!(records.len(), 3);
        assert!(records[2].is_ok());
        let message = records[1].as_ref().unwrap_err().to_string();
        assert!(
            message.starts_with("corpus.jsonl:2: the record needs"),
            "{message}"
        );
        assert_eq!(
            messages(b"\n{\"text\": \n"),
            ["corpus.jsonl:2: the record is not JSON: EOF while parsing a value at column 9"]
        );
    }

    #[test]
    fn text_that_is_not_utf8_is_named() {
        assert_eq!(
            messages(b"{}\n\xff\n")[1],
            "corpus.jsonl:2: the text is not UTF-8"
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut line = br#"{"text": ""#.to_vec();
        line.resize(100_000, b'a');
        let found = messages(&line);
        assert!(
            found[0].starts_with("corpus.jsonl:1: the line is longer than 40 bytes"),
            "{found:?}"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_corpus_without_a_record_is_an_error() {
        for empty in ["", "\n \n", "\u{feff}"] {
            let found = messages(empty.as_bytes());
            assert_eq!(
                found,
                ["corpus.jsonl holds no record; a corpus needs at least one"]
            );
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_jsonl("no/such/file.jsonl").unwrap_err();
        assert_eq!(error.to_string(), "cannot open no/such/file.jsonl");
    }

    #[test]
    fn a_written_corpus_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        let records: Vec<Record> = ["one\n", "zwei \u{1f980}"]
            .map(|text| Content::Text(text.into()).into())
            .into();
        assert_eq!(write_jsonl(&path, &records).unwrap(), 2);
        let back: Vec<Record> = read_jsonl(&path)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(back, records);
    }
}
