//! `cargo xtask tidy`: the rules that no compiler checks.

mod documents;
mod layers;
mod shapes;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::project::Project;

/// A broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: PathBuf,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// A text file of the project, with its path relative to the root.
#[derive(Debug)]
struct TextFile {
    path: PathBuf,
    text: String,
}

impl TextFile {
    fn is_rust(&self) -> bool {
        self.path
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    /// Whether it belongs to a library that users add; tests count as well.
    fn is_library(&self) -> bool {
        let mut parts = self.path.components().map(|part| part.as_os_str());
        parts.next().is_some_and(|first| first == "crates")
            && parts.next().is_some_and(|name| name != "potstill-testkit")
            && parts.next().is_some_and(|folder| folder == "src")
    }

    /// Whether it is nothing but tests.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
            || self
                .path
                .components()
                .any(|part| part.as_os_str() == "tests")
    }

    /// The lines outside tests, numbered from 1. Tests stand at the end of a file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() { 0 } else { usize::MAX };
        let is_code = |line: &str| line != "#[cfg(test)]" && !line.starts_with("#[cfg(all(test, ");
        (1..)
            .zip(self.text.lines())
            .take(end)
            .take_while(move |(_, line)| is_code(line))
    }
}

/// Prints every broken rule; fails if there is one.
pub(crate) fn run(project: &Project) -> Result<()> {
    let files = text_files(project)?;
    let mut findings = Vec::new();
    layers::check(project, &mut findings);
    documents::check(project, &files, &mut findings);
    for file in &files {
        sources::check(file, &mut findings);
        shapes::check(file, &mut findings);
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for Finding {
        path,
        line,
        message,
    } in &findings
    {
        println!("{}:{}: {message}", path.display(), (*line).max(1));
    }
    if !findings.is_empty() {
        bail!("{} broken rules", findings.len());
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

fn text_files(project: &Project) -> Result<Vec<TextFile>> {
    let mut files = Vec::new();
    for path in project.files()? {
        if let Ok(text) = String::from_utf8(fs::read(&path)?) {
            files.push(TextFile {
                path: project.relative(&path).to_owned(),
                text,
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
