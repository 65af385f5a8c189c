//! What became of the records, for people.

use std::collections::BTreeSet;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, LineStyle, Table};
use potstill::data::{Content, Manifest, Record};

/// The account of each stage.
pub(crate) fn table(manifest: &Manifest) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header([
            "stage", "in", "out", "not kept", "requests", "tokens", "seconds",
        ]);
    for stage in &manifest.stages {
        let lost = stage.rejected.iter().chain(&stage.failed);
        let lost: Vec<String> = lost
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let tokens = stage.tally.prompt_tokens + stage.tally.completion_tokens;
        let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&stage.name),
            number(stage.records_in.to_string()),
            number(stage.records_out.to_string()),
            Cell::new(if lost.is_empty() {
                "–".into()
            } else {
                lost.join("\n")
            }),
            number(stage.tally.requests.to_string()),
            number(tokens.to_string()),
            number(format!("{:.1}", stage.seconds)),
        ]);
    }
    table
}

/// How many parts of the text the questions are about.
pub(crate) fn coverage(manifest: &Manifest, records: &[Record]) -> String {
    let sources: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| record.meta.get("source")?.as_str())
        .collect();
    format!(
        "{} questions with answers, about {} of {} paragraphs",
        records.len(),
        sources.len(),
        manifest.input_records
    )
}

/// Some of the questions, spread over the text.
pub(crate) fn sample(records: &[Record], count: usize) -> String {
    let step = records.len().div_ceil(count).max(1);
    let lines: Vec<String> = records
        .iter()
        .step_by(step)
        .filter_map(|record| match &record.content {
            Content::Completion { prompt, completion } => Some(format!(
                "  Q: {prompt}\n  A: {}",
                completion.replace('\n', " ")
            )),
            _ => None,
        })
        .collect();
    lines.join("\n")
}
