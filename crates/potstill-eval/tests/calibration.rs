//! Calibration against scikit-learn and NumPy; `tests/fixtures/calibration.py` wrote the values.
#![allow(clippy::unwrap_used, reason = "a test")]

use potstill_eval::{Calibration, Proportion};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    confidence: Vec<f64>,
    right: Vec<bool>,
    bins: usize,
    expected_error: f64,
    maximum_error: f64,
    brier: f64,
    bin_accuracy: Vec<f64>,
    bin_confidence: Vec<f64>,
}

#[test]
fn errors_and_bins_are_those_of_scikit_learn_and_numpy() {
    let reference: Reference =
        serde_json::from_str(include_str!("fixtures/calibration.json")).unwrap();
    assert!(reference.cases.len() >= 6);
    for case in reference.cases {
        let name = case.name;
        let answers = case.confidence.iter().copied().zip(case.right);
        let found = Calibration::with_bins(answers, case.bins).unwrap();
        let near = |ours: f64, theirs: f64, what: &str| {
            assert!(
                (ours - theirs).abs() < 1e-12,
                "{name}: {what} is {ours}, not {theirs}"
            );
        };
        near(found.expected_error, case.expected_error, "ECE");
        near(found.maximum_error, case.maximum_error, "MCE");
        near(found.brier, case.brier, "Brier score");
        assert_eq!(found.bins.len(), case.bin_accuracy.len(), "{name}");
        let theirs = case.bin_accuracy.into_iter().zip(case.bin_confidence);
        for (bin, (accuracy, confidence)) in found.bins.iter().zip(theirs) {
            near(bin.correct.value(), accuracy, "the accuracy of a bin");
            near(bin.confidence, confidence, "the confidence of a bin");
            let again = Proportion::new(bin.correct.successes(), bin.correct.total());
            assert_eq!(bin.interval, again.wilson_95(), "{name}");
        }
    }
}
