//! Ratios by hand, and every way in which one is undefined.

use super::*;
use crate::ItemResult;

fn measured(outcomes: &[bool]) -> ExactMatch {
    let results = outcomes.iter().enumerate().map(|(n, &correct)| ItemResult {
        id: format!("{n}"),
        problem: String::new(),
        expected: String::new(),
        answer: String::new(),
        correct,
        new_tokens: 1,
        cut_off: false,
    });
    ExactMatch {
        results: results.collect(),
    }
}

fn first(correct: usize, of: usize) -> ExactMatch {
    measured(&(0..of).map(|n| n < correct).collect::<Vec<_>>())
}

fn compare(teacher: &ExactMatch, student: &ExactMatch, baseline: &ExactMatch) -> Comparison {
    let bootstrap = PairedBootstrap {
        resamples: 2000,
        seed: 5,
    };
    Comparison::new(teacher, student, Some(baseline), bootstrap).unwrap()
}

#[test]
fn shares_are_the_ratios_of_the_formulas() {
    let found = compare(&first(90, 100), &first(81, 100), &first(60, 100));
    assert_eq!(found.items, 100);
    assert_eq!(found.retained.value, Some(0.9));
    assert_eq!(found.retained.reason, None);
    let gap = found.gap_closed.unwrap();
    assert_eq!(gap.value, Some(0.7));
    for (share, value) in [(found.retained, 0.9), (gap, 0.7)] {
        let interval = share.interval.unwrap();
        assert!(
            interval.low < value && value < interval.high,
            "{interval:?}"
        );
        assert!(interval.high - interval.low < 0.4, "{interval:?}");
    }
}

#[test]
fn the_interval_is_paired() {
    let teacher = first(50, 100);
    let found = compare(&teacher, &teacher, &first(0, 100));
    assert_eq!(
        found.retained.interval,
        Some(Interval {
            low: 1.0,
            high: 1.0
        })
    );
}

#[test]
fn the_same_seed_gives_the_same_comparison() {
    let run = || compare(&first(90, 100), &first(80, 100), &first(60, 100));
    assert_eq!(run(), run());
}

#[test]
fn the_order_of_the_items_does_not_matter() {
    let teacher = first(90, 100);
    let student = first(80, 100);
    let mut shuffled = student.clone();
    shuffled.results.reverse();
    let baseline = first(60, 100);
    assert_eq!(
        compare(&teacher, &student, &baseline),
        compare(&teacher, &shuffled, &baseline)
    );
}

#[test]
fn a_teacher_without_a_right_answer_leaves_nothing_to_retain() {
    let none = first(0, 10);
    let found = compare(&none, &first(5, 10), &none);
    assert_eq!(found.retained.value, None);
    assert_eq!(found.retained.interval, None);
    assert_eq!(
        found.retained.reason.as_deref(),
        Some("the teacher answers nothing right")
    );
    assert_eq!(found.gap_closed.unwrap().value, None);
}

#[test]
fn a_baseline_that_matches_the_teacher_leaves_no_gap() {
    let found = compare(&first(8, 10), &first(9, 10), &first(8, 10));
    let gap = found.gap_closed.unwrap();
    assert_eq!((gap.value, gap.interval), (None, None));
    assert!(gap.reason.unwrap().contains("no gap to close"));
}

#[test]
fn a_gap_within_the_noise_has_a_value_but_no_interval() {
    let found = compare(
        &first(51, 100),
        &first(51, 100),
        &measured(&(0..100).map(|n| n >= 50).collect::<Vec<_>>()),
    );
    let gap = found.gap_closed.unwrap();
    assert_eq!(gap.value, Some(1.0));
    assert_eq!(gap.interval, None);
    assert!(gap.reason.unwrap().contains("resamples"));
}

#[test]
fn different_items_are_refused() {
    let bootstrap = PairedBootstrap::new(0);
    let error = Comparison::new(&first(3, 4), &first(3, 5), None, bootstrap).unwrap_err();
    assert_eq!(
        error.to_string(),
        "item 4 was put to only one of the teacher and the student; models are compared on the same items"
    );
    let error = Comparison::new(&first(3, 5), &first(3, 4), None, bootstrap).unwrap_err();
    assert!(matches!(error, Error::DifferentItems { .. }), "{error}");
}

#[test]
fn no_items_is_an_error() {
    let none = measured(&[]);
    let error = Comparison::new(&none, &none, None, PairedBootstrap::new(0)).unwrap_err();
    assert!(matches!(error, Error::Empty { what: "item" }), "{error}");
}

#[test]
fn a_single_item_has_a_share_but_no_interval() {
    let retained = compare(&first(1, 1), &first(1, 1), &first(0, 1)).retained;
    assert_eq!((retained.value, retained.interval), (Some(1.0), None));
    assert!(retained.reason.unwrap().contains("there is only one"));
}
