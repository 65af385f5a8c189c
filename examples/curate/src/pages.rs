//! Pages and records from files and folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use potstill::data::{Content, Error, Layout, Record, read_records};
use serde_json::json;

use crate::html;

type Records = Box<dyn Iterator<Item = Result<Record, Error>>>;

/// All records, file by file; the files of a folder in the order of their names.
pub(crate) fn read(inputs: &[PathBuf]) -> Result<Records> {
    let mut files = Vec::new();
    for input in inputs {
        collect(input, &mut files).with_context(|| format!("cannot read {}", input.display()))?;
    }
    Ok(Box::new(files.into_iter().flat_map(|file| of_file(&file))))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for entry in entries {
        // Packages link from one folder into another.
        if !entry.is_symlink() && (entry.is_dir() || is_page(&entry)) {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str());
    matches!(end, Some("html" | "md" | "rst" | "txt"))
}

fn of_file(path: &Path) -> Records {
    if !is_page(path) {
        return match read_records(path, Layout::Detect) {
            Ok(records) => Box::new(records),
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
    }
    Box::new(std::iter::once(page(path)))
}

fn page(path: &Path) -> Result<Record, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let raw = String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        path: path.into(),
        line: 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
    })?;
    let is_html = path.extension().is_some_and(|end| end == "html");
    let text = if is_html { html::text(&raw) } else { raw };
    let mut record = Record::from(Content::Text(text));
    record
        .meta
        .insert("path".into(), json!(path.display().to_string()));
    Ok(record)
}
