//! What a reader asks, section by section.

use std::fmt::Write;

use potstill_data::PermissionSummary;

use super::{CardSource, ModelCard};
use crate::markdown::escaped;
use crate::number::{NONE, significant, thousands};
use crate::{Better, Report, Results};

impl ModelCard {
    pub(super) fn body(&self) -> String {
        let mut text = format!("# {}\n", escaped(&self.name));
        for (title, content) in [
            ("What it is", self.what_it_is()),
            (
                "Teacher",
                sources(&self.teachers, "It is not stated who taught it."),
            ),
            ("Recipe", self.recipe()),
            ("Data and licenses", self.data()),
            ("Evaluation", self.evaluation()),
            (
                "Intended use",
                stated(
                    self.intended_use.as_ref(),
                    "Nobody stated what it may be used for.",
                ),
            ),
            (
                "Limits",
                stated(
                    self.limits.as_ref(),
                    "Nobody stated its limits, which does not mean that it has none.",
                ),
            ),
            ("How to run it", self.how_to_run_it()),
        ] {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\n## {title}\n\n{}\n", content.trim_end());
        }
        text
    }

    fn what_it_is(&self) -> String {
        let mut text = stated(self.summary.as_ref(), "A distilled language model.");
        match &self.base {
            Some(base) => {
                let _ = write!(text, "\n\nIt began with the weights of {}.", source(base));
            }
            None => text.push_str("\n\nIt is not stated which weights it began with."),
        }
        if !self.files.is_empty() {
            text.push_str("\n\n| file | what | MB |\n|---|---|--:|\n");
        }
        for file in &self.files {
            let (path, about) = (escaped(&file.path), escaped(&file.about));
            let _ = writeln!(
                text,
                "| {path} | {about} | {:.2} |",
                file.bytes as f64 / 1e6
            );
        }
        text
    }

    fn recipe(&self) -> String {
        if self.recipe.is_empty() && self.report.is_none() {
            return "It is not stated how it was made.".into();
        }
        let mut text = String::new();
        for (name, value) in &self.recipe {
            let _ = writeln!(text, "- {}: {}", escaped(name), escaped(value));
        }
        if let Some(Report { provenance, .. }) = &self.report {
            let _ = writeln!(
                text,
                "- command: `{}`",
                provenance.command.replace('`', "'")
            );
            if let Some(seed) = provenance.seed {
                let _ = writeln!(text, "- seed: {seed}");
            }
            for (name, version) in &provenance.versions {
                let _ = writeln!(text, "- {}: {}", escaped(name), escaped(version));
            }
        }
        text
    }

    fn data(&self) -> String {
        let mut text = match &self.license {
            Some(license) => format!("The license of the model is {}.", escaped(license)),
            None => "The license of the model is not stated: ask before you use it.".into(),
        };
        let _ = write!(
            text,
            "\n\n{}",
            sources(&self.data, "It is not stated what it learned from.")
        );
        match &self.permissions {
            Some(permissions) => text.push_str(&origins(permissions)),
            None => text.push_str("\n\nIt is not recorded which models made the records."),
        }
        text
    }

    fn evaluation(&self) -> String {
        let tables = [
            self.results.as_ref().and_then(results_table),
            self.report.as_ref().and_then(report_table),
        ];
        let tables: Vec<String> = tables.into_iter().flatten().collect();
        match tables.as_slice() {
            [] => "Nothing was measured, or the results are not here.".into(),
            tables => tables.join("\n"),
        }
    }

    fn how_to_run_it(&self) -> String {
        let prompt = self.prompt.as_deref().unwrap_or("Once upon a time");
        // `llama-cli` is for conversations; it waits for the next turn unless it is told not to.
        let (program, mode) = match self.chats {
            true => ("llama-cli", "-st"),
            false => ("llama-completion", "-no-cnv"),
        };
        let files = self
            .files
            .iter()
            .filter(|file| file.path.ends_with(".gguf"));
        let lines: String = files
            .map(|file| {
                let (path, prompt) = (shell_word(&file.path), shell_word(prompt));
                format!("{program} -m {path} {mode} --temp 0 -n 32 -p {prompt}\n")
            })
            .collect();
        let llama = match lines.as_str() {
            "" => "There is no GGUF file; `save_gguf` of Potstill writes one.\n".to_owned(),
            lines if self.chats => format!("```sh\n{lines}```\n"),
            lines => format!("```sh\n{lines}```\n\n{OLDER}\n"),
        };
        let prompt = serde_json::Value::from(prompt).to_string();
        include_str!("how_to_run_it.md")
            .replace("{llama.cpp}\n", &llama)
            .replace("{prompt}", &prompt)
    }
}

const OLDER: &str = "Builds from before December 2025 have no `llama-completion`; there it is `llama-cli`, with the same options.";

/// A word of a shell that is nothing but the text.
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn stated(text: Option<&String>, otherwise: &str) -> String {
    text.map_or(otherwise, String::as_str).to_owned()
}

fn sources(sources: &[CardSource], otherwise: &str) -> String {
    if sources.is_empty() {
        return otherwise.into();
    }
    let line = |it: &CardSource| format!("- {}\n", source(it));
    sources
        .iter()
        .map(line)
        .collect::<String>()
        .trim_end()
        .into()
}

fn source(source: &CardSource) -> String {
    let name = escaped(&source.name);
    let mut text = match &source.repository {
        Some(repository) => format!("[{name}](https://huggingface.co/{repository})"),
        None => name,
    };
    match &source.license {
        Some(license) => text.push_str(&format!(", license: {}", escaped(license))),
        None => text.push_str(", license not stated"),
    }
    if let Some(sha256) = &source.sha256 {
        text.push_str(&format!(", SHA-256 `{}`", sha256.replace('`', "'")));
    }
    text
}

/// Who made the records, and what was decided about their terms.
fn origins(permissions: &PermissionSummary) -> String {
    let count = |records: usize| thousands(records as u64);
    let mut text = format!(
        "\n\n{} records, of which no model made {}.\n",
        count(permissions.records),
        count(permissions.by_people)
    );
    for (what, counts) in [
        ("made by", &permissions.by_model),
        ("under the terms", &permissions.by_terms),
    ] {
        for (name, records) in counts {
            let _ = writeln!(text, "- {} {what} {}", count(*records), escaped(name));
        }
    }
    for (terms, reason) in &permissions.accepted {
        let (terms, reason) = (escaped(terms), escaped(reason));
        let _ = writeln!(
            text,
            "- {terms} allow training on a condition only; accepted because: {reason}"
        );
    }
    text
}

fn results_table(results: &Results) -> Option<String> {
    if results.metrics.is_empty() {
        return None;
    }
    let mut text =
        String::from("| metric | value | 95 % interval | items | task |\n|---|--:|---|--:|---|\n");
    for (name, metric) in &results.metrics {
        let arrow = match metric.better {
            Better::Higher => '↑',
            Better::Lower => '↓',
        };
        let interval = metric.interval.map_or_else(
            || NONE.into(),
            |it| format!("{} to {}", significant(it.low), significant(it.high)),
        );
        let items = metric.scores.as_ref().map_or_else(
            || NONE.into(),
            |scores| thousands(scores.items().len() as u64),
        );
        let task = metric.task.as_ref().map_or_else(
            || NONE.into(),
            |task| escaped(&format!("{} {}", task.name, task.version)),
        );
        let (name, value) = (escaped(name), significant(metric.value));
        let _ = writeln!(
            text,
            "| {name} {arrow} | {value} | {interval} | {items} | {task} |"
        );
    }
    Some(text)
}

/// Every model of a report in a column.
fn report_table(report: &Report) -> Option<String> {
    let rows = report.rows();
    if rows.is_empty() {
        return None;
    }
    let names = report.models.iter().map(|model| escaped(&model.name));
    let mut text = format!("| | {} |\n|---|", names.collect::<Vec<_>>().join(" | "));
    text.push_str(&"--:|".repeat(report.models.len()));
    for row in rows {
        let separator = if row.unit.is_empty() { "" } else { ", " };
        let (label, unit) = (escaped(&row.label), row.unit);
        let _ = write!(text, "\n| {label}{separator}{unit} |");
        for cell in row.cells {
            let interval = cell.interval.map(|interval| format!(" ({interval})"));
            let _ = write!(text, " {}{} |", cell.value, interval.unwrap_or_default());
        }
    }
    text.push('\n');
    Some(text)
}
