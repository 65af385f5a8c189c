//! The report as Markdown, for a comment under a change.

use std::fmt::Write;

use super::{GateReport, Verdict};
use crate::markdown::escaped;
use crate::number::{NONE, thousands};

impl GateReport {
    /// The report as Markdown: the verdict, and a table with a row for each gate.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let total = self.outcomes.len();
        let mut text = match self.verdict() {
            Verdict::Passed => format!("**Passed**: {}", escaped(&self.model)),
            Verdict::Failed => format!("**Failed**: {}", escaped(&self.model)),
            Verdict::Unjudged => format!("**Could not be judged**: {}", escaped(&self.model)),
        };
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            " ({} of {total} gates passed, {} failed, {} could not be judged)\n\n\
             | | gate | found | items |\n|---|---|---|--:|\n",
            self.count(Verdict::Passed),
            self.count(Verdict::Failed),
            self.count(Verdict::Unjudged),
        );
        for outcome in &self.outcomes {
            let verdict = match outcome.verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "**failed**",
                Verdict::Unjudged => "**unjudged**",
            };
            let items = outcome
                .items
                .map_or_else(|| NONE.into(), |items| thousands(items as u64));
            let (rule, found) = (escaped(&outcome.rule), escaped(&outcome.found));
            let _ = writeln!(text, "| {verdict} | {rule} | {found} | {items} |");
        }
        text
    }
}
