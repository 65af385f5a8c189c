//! The objects of one long JSON array, one by one.

use std::io::BufRead;
use std::path::PathBuf;

use crate::{Error, Layout, Record, RecordProblem};

/// Most bytes of an object.
const MAX_BYTES: usize = 16 << 20;

/// Reads an array element by element, so that the whole is never in memory.
#[derive(Debug)]
pub(super) struct JsonArrayReader<R> {
    reader: R,
    path: PathBuf,
    layout: Layout,
    /// Number of the element, from 1.
    row: usize,
    element: Vec<u8>,
    ended: bool,
}

/// How an element ends.
#[derive(Debug, PartialEq)]
enum End {
    Comma,
    Bracket,
    File,
}

impl<R: BufRead> JsonArrayReader<R> {
    /// Reads from `reader`, which stands at the `[`.
    pub(super) fn new(mut reader: R, path: impl Into<PathBuf>, layout: Layout) -> Self {
        reader.consume(1);
        Self {
            reader,
            path: path.into(),
            layout,
            row: 0,
            element: Vec::new(),
            ended: false,
        }
    }

    /// Reads up to the comma or bracket that ends an element.
    fn next_element(&mut self) -> Result<End, Error> {
        self.element.clear();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        loop {
            let buffer = self
                .reader
                .fill_buf()
                .map_err(Error::io("read", &self.path))?;
            if buffer.is_empty() {
                return Ok(End::File);
            }
            let mut end = None;
            let mut used = 0;
            for &byte in buffer {
                used += 1;
                if in_string {
                    (in_string, escaped) = match byte {
                        _ if escaped => (true, false),
                        b'\\' => (true, true),
                        b'"' => (false, false),
                        _ => (true, false),
                    };
                    continue;
                }
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' if depth == 0 => end = Some(End::Comma),
                    b']' if depth == 0 => end = Some(End::Bracket),
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if end.is_some() {
                    break;
                }
            }
            let kept = used - usize::from(end.is_some());
            self.element.extend_from_slice(&buffer[..kept]);
            self.reader.consume(used);
            if self.element.len() > MAX_BYTES {
                return Err(Error::RowTooLong {
                    path: self.path.clone(),
                    row: self.row,
                    limit: MAX_BYTES,
                });
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    fn next_record(&mut self) -> Option<Result<Record, Error>> {
        self.row += 1;
        let end = match self.next_element() {
            Ok(end) => end,
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        };
        self.ended = end != End::Comma;
        let row = |problem| Error::Row {
            path: self.path.clone(),
            row: self.row,
            problem: Box::new(problem),
        };
        if end == End::File {
            return Some(Err(row(RecordProblem::Unfinished)));
        }
        let Ok(text) = str::from_utf8(&self.element) else {
            return Some(Err(row(RecordProblem::NotUtf8)));
        };
        let text = text.trim();
        if text.is_empty() && end == End::Bracket {
            return (self.row == 1).then(|| {
                Err(Error::EmptyCorpus {
                    path: self.path.clone(),
                })
            });
        }
        Some(Record::from_json_as(text, self.layout).map_err(row))
    }
}

impl<R: BufRead> Iterator for JsonArrayReader<R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended { None } else { self.next_record() }
    }
}
