//! The comparison as a table for terminals.

use std::fmt::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};

use super::Report;
use super::rows::range;
use crate::Share;
use crate::number::{NONE, percent};

/// Widest table; terminals are rarely narrower.
const WIDTH: u16 = 100;

impl Report {
    /// The comparison as text, at most 100 columns wide: a column for each model, a row for each
    /// metric that one of them has, and below it what the student keeps of the teacher.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        let names = self.models.iter().map(|model| model.name.as_str());
        table.set_header(std::iter::once("").chain(names));
        for row in self.rows() {
            let separator = if row.unit.is_empty() { "" } else { ", " };
            let mut cells = vec![format!("{}{separator}{}", row.label, row.unit)];
            cells.extend(row.cells.iter().map(|cell| cell.value.clone()));
            table.add_row(cells);
            if row.cells.iter().any(|cell| cell.interval.is_some()) {
                let intervals = row.cells.into_iter().map(|cell| cell.interval);
                let intervals = intervals.map(|interval| interval.unwrap_or_default());
                table.add_row(std::iter::once("  95 % interval".to_owned()).chain(intervals));
            }
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = table.trim_fmt();
        if let Some(comparison) = &self.comparison {
            text.push('\n');
            push_share(
                &mut text,
                "Kept of the teacher's accuracy",
                &comparison.retained,
            );
            if let Some(closed) = &comparison.gap_closed {
                push_share(&mut text, "Gap closed by distillation", closed);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn push_share(text: &mut String, label: &str, share: &Share) {
    let value = share
        .value
        .map_or_else(|| NONE.into(), |value| format!("{} %", percent(value)));
    let interval = share
        .interval
        .map(|interval| format!(" (95 % interval {} %)", range(interval)));
    let reason = share.reason.as_ref().map(|reason| format!(" ({reason})"));
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        text,
        "{label}: {value}{}{}",
        interval.unwrap_or_default(),
        reason.unwrap_or_default()
    );
}
