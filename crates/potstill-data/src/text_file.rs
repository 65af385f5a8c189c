//! Plain text files as records.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Content, Error, Record};

/// How a text file becomes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TextSplit {
    /// One record with the whole text.
    Whole,
    /// Paragraphs, which end at a blank line, joined until a record would be longer than so many
    /// characters. A longer paragraph is a record of its own.
    Paragraphs {
        /// Characters of a record.
        max_chars: usize,
    },
}

/// Reads a UTF-8 text file. Records are named after the file and their number in it, from 1.
///
/// Line ends are made `\n` and a byte-order mark is skipped.
///
/// # Errors
///
/// When the file cannot be read, is not UTF-8, or holds nothing but blanks.
pub fn read_text(path: impl AsRef<Path>, split: TextSplit) -> Result<Vec<Record>, Error> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::NotUtf8 {
            path: path.into(),
            line,
        }
    })?;
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(&text)
        .replace("\r\n", "\n");
    let chunks = match split {
        TextSplit::Whole => vec![text],
        TextSplit::Paragraphs { max_chars } => merge_paragraphs(&text, max_chars),
    };
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let records: Vec<Record> = chunks
        .into_iter()
        .filter(|chunk| !chunk.trim().is_empty())
        .enumerate()
        .map(|(index, chunk)| Record {
            id: Some(format!("{name}#{}", index + 1)),
            ..Content::Text(chunk).into()
        })
        .collect();
    if records.is_empty() {
        Err(Error::EmptyCorpus { path: path.into() })
    } else {
        Ok(records)
    }
}

fn merge_paragraphs(text: &str, max_chars: usize) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut chunk = String::new();
    let mut chunk_chars = 0;
    for paragraph in paragraphs(text) {
        let chars = paragraph.chars().count();
        if chunk_chars > 0 && chunk_chars + 2 + chars > max_chars {
            chunks.push(std::mem::take(&mut chunk));
            chunk_chars = 0;
        }
        if chunk_chars > 0 {
            chunk.push_str("\n\n");
            chunk_chars += 2;
        }
        chunk.push_str(&paragraph);
        chunk_chars += chars;
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .split(|line| line.trim().is_empty())
        .filter(|paragraph| !paragraph.is_empty())
        .map(|paragraph| paragraph.join("\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], split: TextSplit) -> Result<Vec<Record>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tale.txt");
        std::fs::write(&path, bytes).unwrap();
        read_text(path, split)
    }

    fn texts(bytes: &[u8], max_chars: usize) -> Vec<String> {
        let records = read(bytes, TextSplit::Paragraphs { max_chars }).unwrap();
        let text = |record: Record| match record.content {
            Content::Text(text) => text,
            other => panic!("{other:?} is not text"),
        };
        records.into_iter().map(text).collect()
    }

    #[test]
    fn the_whole_file_is_one_record() {
        let records = read("\u{feff}a\r\n\r\nb".as_bytes(), TextSplit::Whole).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].content, Content::Text("a\n\nb".into()));
        assert_eq!(records[0].id.as_deref(), Some("tale.txt#1"));
    }

    #[test]
    fn paragraphs_are_joined_up_to_the_limit() {
        let text = b"\n one\ntwo\n\n\nthree\n \nfour\n";
        assert_eq!(texts(text, 0), [" one\ntwo", "three", "four"]);
        assert_eq!(texts(text, 15), [" one\ntwo\n\nthree", "four"]);
        assert_eq!(texts(text, 14), [" one\ntwo", "three\n\nfour"]);
        assert_eq!(texts(text, 99), [" one\ntwo\n\nthree\n\nfour"]);
    }

    #[test]
    fn a_file_without_text_and_one_that_is_not_text_are_refused() {
        assert!(matches!(
            read(b" \n\n", TextSplit::Whole),
            Err(Error::EmptyCorpus { .. })
        ));
        let error = read(b"a\nb\n\xff", TextSplit::Whole).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("tale.txt:3: the text is not UTF-8"),
            "{error}"
        );
    }
}
