//! Backends side by side.

use std::fmt::Write;

use super::backend::Backend;
use crate::parity::{Case, Measure, Outcome};

/// What stands above the table in docs/backends.md.
pub(super) const INTRODUCTION: &str = "\
# Backends

The fused operations of `crates/potstill-kernels`, the reference checkpoints of `crates/potstill-models` and the
training runs of `crates/potstill-train`, on every backend that the machine could run, in f32: the largest error of
each quantity against f64 by the formula (kernels; `portable` is against the portable bodies) or against PyTorch.
`remote` is a flex device behind a server on loopback.
In the cases `teacher elsewhere`, the teacher is on the backend and the student on flex; `llama` compares the
signal with that of a teacher on flex.
Written by `cargo xtask backends --write`.

";

/// The result of one backend.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) backend: Backend,
    /// Or why it was skipped.
    pub(super) finished: Result<Finished, String>,
}

/// A suite that ran to its end.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) cases: Vec<Case>,
    /// Including the build.
    pub(super) seconds: f64,
}

impl Column {
    /// Whether no case failed.
    pub(super) fn passed(&self) -> bool {
        self.finished
            .as_ref()
            .is_ok_and(|finished| finished.cases.iter().all(Case::passed))
            || self.finished.is_err()
    }

    fn cell(&self, case: &str, quantity: &str) -> String {
        let Ok(finished) = &self.finished else {
            return "–".into();
        };
        let Some(found) = finished.cases.iter().find(|found| found.name == case) else {
            return "–".into();
        };
        match &found.outcome {
            Outcome::Measured(measures) => (measures.iter())
                .find(|measure| kind(measure) == quantity)
                .map_or("–".into(), value),
            Outcome::Failed(_) => "**failed**".into(),
            Outcome::Skipped(_) | Outcome::NotYet => "–".into(),
        }
    }
}

/// A Markdown table with one row for each case and quantity, and notes below.
pub(super) fn render(columns: &[Column]) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for finished in columns
        .iter()
        .filter_map(|column| column.finished.as_ref().ok())
    {
        for case in &finished.cases {
            if let Outcome::Measured(measures) = &case.outcome {
                for measure in measures {
                    let row = (case.name.as_str(), kind(measure));
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                }
            }
        }
    }
    let mut text = String::new();
    let names: Vec<&str> = columns.iter().map(|column| column.backend.name()).collect();
    line(
        &mut text,
        ["case", "quantity"]
            .into_iter()
            .chain(names.iter().copied()),
    );
    line(
        &mut text,
        ["---", "---"]
            .into_iter()
            .chain(names.iter().map(|_| "---:")),
    );
    for (case, quantity) in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| column.cell(case, quantity))
            .collect();
        line(
            &mut text,
            [case, quantity]
                .into_iter()
                .chain(cells.iter().map(String::as_str)),
        );
    }
    text.push('\n');
    for column in columns {
        let name = column.backend.name();
        let note = match &column.finished {
            Err(reason) => format!("skipped: {reason}"),
            Ok(finished) => {
                let failures = finished.cases.iter().filter(|case| !case.passed());
                let failures: Vec<String> = failures
                    .map(|case| format!("\n  - {}: {}", case.name, case.details()))
                    .collect();
                let passed = finished.cases.len() - failures.len();
                format!(
                    "{passed} of {} cases pass, {:.0} s with the build{}",
                    finished.cases.len(),
                    finished.seconds,
                    failures.concat()
                )
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- `{name}`: {note}");
    }
    text
}

fn line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    for cell in cells {
        text.push_str("| ");
        text.push_str(cell);
        text.push(' ');
    }
    text.push_str("|\n");
}

/// The quantity without the layer in which it was worst.
fn kind(measure: &Measure) -> &str {
    measure.what.split(' ').next().unwrap_or(&measure.what)
}

fn value(measure: &Measure) -> String {
    let text = match measure.error {
        None => "not a number".into(),
        Some(0.0) if measure.tolerance == 0.0 => "exact".into(),
        Some(error) if measure.tolerance == 0.0 => format!("{error} differ"),
        Some(error) => format!("{error:.1e}"),
    };
    if measure.passed() {
        text
    } else {
        format!("**{text}**")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(error: f64) -> Finished {
        let measures = vec![
            Measure::new("hidden 2", error, 2e-4),
            Measure::exact("greedy", 0),
        ];
        let name = "models/llama".into();
        Finished {
            cases: vec![Case {
                name,
                outcome: Outcome::Measured(measures),
            }],
            seconds: 1.0,
        }
    }

    #[test]
    fn a_failure_stands_out_and_a_skipped_backend_says_why() {
        let columns = [
            Column {
                backend: Backend::Flex,
                finished: Ok(measured(1.26e-6)),
            },
            Column {
                backend: Backend::Wgpu,
                finished: Ok(measured(0.5)),
            },
            Column {
                backend: Backend::Tch,
                finished: Err("no libtorch".into()),
            },
        ];
        assert_eq!(columns.each_ref().map(Column::passed), [true, false, true]);
        let text = render(&columns);
        assert!(
            text.contains("| models/llama | hidden | 1.3e-6 | **5.0e-1** | – |\n"),
            "{text}"
        );
        assert!(
            text.contains("| models/llama | greedy | exact | exact | – |\n"),
            "{text}"
        );
        assert!(text.contains("- `flex`: 1 of 1 cases pass"), "{text}");
        assert!(text.contains("- `tch`: skipped: no libtorch\n"), "{text}");
    }
}
