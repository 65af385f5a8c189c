//! One line a case, and the verdict.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// The largest error of one quantity, and how large it may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) what: String,
    /// `None` for an error that is not a number.
    pub(crate) error: Option<f64>,
    pub(crate) tolerance: f64,
}

impl Measure {
    pub(crate) fn new(what: &str, error: f64, tolerance: f64) -> Self {
        let error = error.is_finite().then_some(error);
        Self {
            what: what.to_owned(),
            error,
            tolerance,
        }
    }

    /// The number of differences, of which none is allowed.
    pub(crate) fn exact(what: &str, differences: usize) -> Self {
        Self::new(what, differences as f64, 0.0)
    }

    /// How many elements of two sequences differ, missing ones included.
    pub(crate) fn equal<T: PartialEq>(what: &str, actual: &[T], expected: &[T]) -> Self {
        let same = actual.iter().zip(expected).filter(|(a, b)| a == b).count();
        Self::exact(what, actual.len().max(expected.len()) - same)
    }

    pub(crate) fn passed(&self) -> bool {
        self.error.is_some_and(|error| error <= self.tolerance)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            None => write!(f, "{} is not a number", self.what)?,
            Some(0.0) if self.tolerance == 0.0 => write!(f, "{} exact", self.what)?,
            Some(error) if self.tolerance == 0.0 => write!(f, "{} differs {error}×", self.what)?,
            Some(error) => write!(f, "{} {error:.1e}", self.what)?,
        }
        if !self.passed() && self.tolerance > 0.0 {
            write!(f, " (allowed: {:.0e})", self.tolerance)?;
        }
        Ok(())
    }
}

/// What became of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Measured(Vec<Measure>),
    Failed(String),
    Skipped(String),
    NotYet,
}

/// A case with its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

impl Case {
    pub(crate) fn passed(&self) -> bool {
        matches!(&self.outcome, Outcome::Measured(measures) if measures.iter().all(Measure::passed))
    }

    fn verdict(&self) -> &'static str {
        match &self.outcome {
            Outcome::Measured(_) if self.passed() => "ok",
            Outcome::Measured(_) | Outcome::Failed(_) => "FAIL",
            Outcome::Skipped(_) => "skipped",
            Outcome::NotYet => "not yet",
        }
    }

    /// The errors, or what happened instead.
    pub(crate) fn details(&self) -> String {
        match &self.outcome {
            Outcome::Measured(measures) => {
                let measures: Vec<String> = measures.iter().map(Measure::to_string).collect();
                measures.join("  ")
            }
            Outcome::Failed(reason) | Outcome::Skipped(reason) => reason.clone(),
            Outcome::NotYet => "not implemented".to_owned(),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:<44} {}",
            self.verdict(),
            self.name,
            self.details()
        )
    }
}

/// Collects cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cases: Vec<Case>,
    prints: bool,
}

impl Report {
    /// A report that prints each case as it comes.
    pub(crate) fn printing() -> Self {
        Self {
            prints: true,
            ..Self::default()
        }
    }

    /// Runs one case; an error or a panic in it is its result, not the end of the report.
    pub(crate) fn case(
        &mut self,
        name: impl Into<String>,
        run: impl FnOnce() -> Result<Vec<Measure>>,
    ) {
        let outcome = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(measures)) => Outcome::Measured(measures),
            Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
            Err(panic) => Outcome::Failed(format!("panicked: {}", panic_message(&*panic))),
        };
        self.push(name.into(), outcome);
    }

    pub(crate) fn skip(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        self.push(name.into(), Outcome::Skipped(reason.into()));
    }

    pub(crate) fn not_yet(&mut self, name: impl Into<String>) {
        self.push(name.into(), Outcome::NotYet);
    }

    fn push(&mut self, name: String, outcome: Outcome) {
        let case = Case { name, outcome };
        if self.prints {
            println!("{case}");
        }
        self.cases.push(case);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    pub(crate) fn into_cases(self) -> Vec<Case> {
        self.cases
    }

    /// Prints the totals; fails if a case failed, or, when `strict`, was not run.
    pub(crate) fn finish(self, strict: bool) -> Result<()> {
        let count = |verdict| {
            self.cases
                .iter()
                .filter(|case| case.verdict() == verdict)
                .count()
        };
        let (failed, idle) = (count("FAIL"), count("skipped") + count("not yet"));
        println!(
            "{} passed, {failed} failed, {} skipped, {} not implemented",
            count("ok"),
            count("skipped"),
            count("not yet")
        );
        if failed > 0 {
            bail!("{failed} cases differ from the reference");
        }
        if strict && idle > 0 {
            bail!("{idle} cases were not run");
        }
        Ok(())
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_over_its_tolerance_fails_the_report() {
        for (error, passes) in [(1e-5, true), (3e-4, false), (f64::NAN, false), (0.0, true)] {
            let mut report = Report::default();
            report.case("x", || Ok(vec![Measure::new("logits", error, 2e-4)]));
            assert_eq!(report.finish(true).is_ok(), passes, "{error}");
        }
    }

    #[test]
    fn an_error_or_a_panic_is_the_result_of_its_case() {
        let mut report = Report::default();
        report.case("error", || bail!("no such tensor"));
        report.case("panic", || panic!("axis {}", 1));
        report.case("fine", || Ok(vec![Measure::exact("ids", 0)]));
        let lines: Vec<String> = report.cases.iter().map(Case::to_string).collect();
        assert!(
            lines[0].starts_with("FAIL") && lines[0].ends_with(" no such tensor"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with("panicked: axis 1"), "{lines:?}");
        assert!(
            lines[2].starts_with("ok") && lines[2].ends_with("ids exact"),
            "{lines:?}"
        );
        assert!(report.finish(false).is_err());
    }

    #[test]
    fn a_skipped_case_fails_only_a_strict_report() {
        for strict in [false, true] {
            let mut report = Report::default();
            report.skip("x", "no file");
            assert_eq!(report.finish(strict).is_err(), strict);
        }
    }

    #[test]
    fn sequences_of_different_lengths_differ() {
        assert_eq!(
            Measure::equal("ids", &[1, 2, 3], &[1, 2, 3]),
            Measure::exact("ids", 0)
        );
        assert_eq!(
            Measure::equal("ids", &[1, 2], &[1, 5, 3]),
            Measure::exact("ids", 2)
        );
    }
}
