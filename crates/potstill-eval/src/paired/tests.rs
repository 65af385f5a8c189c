//! Differences by hand; SciPy and statsmodels are in `tests/statistics.rs`.

use super::*;
use crate::ItemScore;

fn scores(values: &[f64]) -> Scores {
    let item = |(n, value): (usize, &f64)| ItemScore::new(n.to_string(), *value);
    Scores::new(values.iter().enumerate().map(item).collect()).unwrap()
}

#[test]
fn what_both_models_share_does_not_widen_the_interval() {
    let hard: Vec<f64> = (0..60).map(|n| f64::from(n % 2)).collect();
    let shifted: Vec<f64> = hard.iter().map(|score| score + 0.01).collect();
    let found = PairedComparison::new(&scores(&shifted), &scores(&hard), &PairedOptions::new(0));
    let found = found.unwrap().overall;
    let interval = found.interval.unwrap();
    assert!(interval.high - interval.low < 1e-12, "{interval:?}");
    assert!(found.p_value < 2e-4, "{found:?}");
    assert_eq!(found.mcnemar, None);
}

#[test]
fn right_and_wrong_answers_get_mcnemars_test() {
    let candidate = scores(&[1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    let reference = scores(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    let found = PairedComparison::new(&candidate, &reference, &PairedOptions::new(0)).unwrap();
    let mcnemar = found.overall.mcnemar.unwrap();
    assert_eq!((mcnemar.only_candidate, mcnemar.only_reference), (2, 1));
    assert_eq!(mcnemar.p_value, 1.0);
    assert!(found.categories.is_empty());
}

#[test]
fn a_single_item_has_a_difference_but_no_interval() {
    let found = PairedComparison::new(&scores(&[1.0]), &scores(&[0.0]), &PairedOptions::new(0));
    let found = found.unwrap().overall;
    assert_eq!((found.difference, found.p_value), (1.0, 1.0));
    assert_eq!((found.interval, found.standard_error), (None, None));
    assert_eq!(found.smallest_detectable_effect, None);
}
