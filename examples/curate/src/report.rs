//! What each stage did.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, LineStyle, Table};
use potstill::data::{Manifest, StageReport};

use crate::memory::Peaks;

/// A table of the stages, and a line about the whole run.
pub(crate) fn stages(manifest: &Manifest, peaks: &Peaks, seconds: f64) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header([
            "",
            "in",
            "kept",
            "rejected",
            "MB in",
            "MB/s",
            "peak RSS, MB",
        ]);
    for (index, stage) in manifest.stages.iter().enumerate() {
        let later = || {
            let mut stages = manifest.stages[index..].iter();
            stages.find_map(|stage| peaks.of(&stage.name))
        };
        let figures = [
            stage.records_in.to_string(),
            stage.records_kept.to_string(),
            reasons(stage),
            format!("{:.1}", stage.text_bytes_in as f64 / 1e6),
            format!(
                "{:.1}",
                stage.text_bytes_in as f64 / 1e6 / stage.seconds.max(1e-9)
            ),
            later().map_or("?".into(), |peak| peak.to_string()),
        ];
        let cells = figures.map(|figure| Cell::new(figure).set_alignment(CellAlignment::Right));
        table.add_row([vec![Cell::new(&stage.name)], cells.into()].concat());
    }
    let megabytes = manifest
        .stages
        .first()
        .map_or(0.0, |stage| stage.text_bytes_in as f64 / 1e6);
    format!(
        "{table}\n{} records read ({} unreadable), {} out, {megabytes:.1} MB in {seconds:.1} s: {:.1} MB/s; {} chunks made, {} found",
        manifest.input_records,
        manifest.unreadable,
        manifest.output_records,
        megabytes / seconds,
        manifest.chunks_made,
        manifest.chunks_reused,
    )
}

fn reasons(stage: &StageReport) -> String {
    let reasons = stage.rejected.iter().chain(&stage.failed);
    let counted: Vec<String> = reasons
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    if counted.is_empty() {
        "–".into()
    } else {
        counted.join("\n")
    }
}
