//! Statistics against SciPy and statsmodels, and intervals against the truth.
//!
//! `tests/fixtures/statistics.py` wrote the reference values.
#![allow(clippy::unwrap_used, reason = "a test")]

use potstill_eval::{
    Comparison, Interval, ItemScore, McNemar, PairedBootstrap, PairedComparison, PairedOptions,
    Proportion, Scores, SignFlips, benjamini_hochberg, holm, items_needed,
    smallest_detectable_effect,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    paired: Vec<Paired>,
    mcnemar: Vec<McNemarCase>,
    wilson: Vec<Wilson>,
    corrections: Vec<Corrected>,
    power: Vec<Power>,
}

#[derive(Deserialize)]
struct Paired {
    name: String,
    candidate: Vec<f64>,
    reference: Vec<f64>,
    clusters: Option<Vec<usize>>,
    difference: f64,
    standard_error: f64,
    t_interval: [f64; 2],
    permutation_p: Option<f64>,
    permutation_is_exact: Option<bool>,
    bootstrap: Option<[f64; 2]>,
    retained: Option<f64>,
    retained_interval: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct McNemarCase {
    b: usize,
    c: usize,
    p: f64,
}

#[derive(Deserialize)]
struct Wilson {
    successes: usize,
    items: usize,
    interval: [f64; 2],
}

#[derive(Deserialize)]
struct Corrected {
    p: Vec<f64>,
    holm: Vec<f64>,
    benjamini_hochberg: Vec<f64>,
}

#[derive(Deserialize)]
struct Power {
    items: usize,
    alpha: f64,
    power: f64,
    effect: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap()
}

impl Paired {
    fn scores(&self, values: &[f64]) -> Scores {
        let item = |(n, value): (usize, &f64)| {
            let item = ItemScore::new(n.to_string(), *value);
            match &self.clusters {
                Some(labels) => item.with_cluster(labels[n].to_string()),
                None => item,
            }
        };
        Scores::new(values.iter().enumerate().map(item).collect()).unwrap()
    }
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found} instead of {expected}"
    );
}

/// Ends that both come from random resamples, ours from ten thousand: they may differ by a few
/// percent of the width.
#[track_caller]
fn close_interval(found: Interval, expected: [f64; 2], what: &str) {
    let slack = 0.04 * (expected[1] - expected[0]);
    close(found.low, expected[0], slack, what);
    close(found.high, expected[1], slack, what);
}

#[test]
fn paired_comparisons_agree_with_scipy_and_statsmodels() {
    for case in reference().paired {
        let (candidate, teacher) = (case.scores(&case.candidate), case.scores(&case.reference));
        let found = PairedComparison::new(&candidate, &teacher, &PairedOptions::new(7)).unwrap();
        let found = found.overall;
        close(found.difference, case.difference, 1e-12, &case.name);
        close(
            found.standard_error.unwrap(),
            case.standard_error,
            1e-12,
            &case.name,
        );
        if let Some(p) = case.permutation_p {
            let exact = case.permutation_is_exact.unwrap();
            let noise = 4.0 * (p * (1.0 - p) / 10_000.0).sqrt();
            close(
                found.p_value,
                p,
                if exact { 1e-12 } else { noise },
                &case.name,
            );
        }
        if let Some(expected) = case.bootstrap {
            close_interval(found.interval.unwrap(), expected, &case.name);
        }
        let differences: Vec<f64> = case
            .candidate
            .iter()
            .zip(&case.reference)
            .map(|(a, b)| a - b)
            .collect();
        let interval = case.scores(&differences).interval().unwrap();
        close(interval.low, case.t_interval[0], 1e-9, &case.name);
        close(interval.high, case.t_interval[1], 1e-9, &case.name);
        if let (Some(retained), Some(expected)) = (case.retained, case.retained_interval) {
            let bootstrap = PairedBootstrap::new(7);
            let found = Comparison::of_scores(&teacher, &candidate, None, bootstrap).unwrap();
            close(found.retained.value.unwrap(), retained, 1e-12, &case.name);
            close_interval(found.retained.interval.unwrap(), expected, &case.name);
        }
    }
}

#[test]
fn mcnemars_test_agrees_with_statsmodels() {
    for case in reference().mcnemar {
        close(
            McNemar::exact(case.b, case.c).p_value,
            case.p,
            1e-11,
            "exact McNemar",
        );
    }
}

#[test]
fn wilsons_interval_agrees_with_statsmodels() {
    for case in reference().wilson {
        let found = Proportion::new(case.successes, case.items).wilson_95();
        close(found.low, case.interval[0], 1e-12, "low");
        close(found.high, case.interval[1], 1e-12, "high");
    }
}

#[test]
fn corrections_agree_with_statsmodels() {
    for case in reference().corrections {
        for (found, expected) in [
            (holm(&case.p), case.holm),
            (benjamini_hochberg(&case.p), case.benjamini_hochberg),
        ] {
            for (found, expected) in found.into_iter().zip(expected) {
                close(found, expected, 1e-15, "adjusted p");
            }
        }
    }
}

#[test]
fn the_smallest_detectable_effect_agrees_with_statsmodels() {
    for case in reference().power {
        let error = 1.0 / (case.items as f64).sqrt();
        let found = smallest_detectable_effect(error, case.alpha, case.power);
        close(found, case.effect, 1e-6, "effect");
        let items = items_needed(case.effect, 1.0, case.alpha, case.power);
        assert!(
            items.abs_diff(case.items) <= 1,
            "{items} instead of {}",
            case.items
        );
    }
}

/// Share of `trials` in which the interval that `draw` gives holds the truth it gives.
fn coverage(trials: u64, draw: impl Fn(u64) -> (Interval, f64)) -> f64 {
    let held = (0..trials).filter(|&trial| {
        let (interval, truth) = draw(trial);
        interval.low <= truth && truth <= interval.high
    });
    held.count() as f64 / trials as f64
}

#[track_caller]
fn is_honest(coverage: f64) {
    assert!(
        (0.93..=0.97).contains(&coverage),
        "95 % intervals hold the truth in {coverage}"
    );
}

/// Scores of a student and its teacher: 70 % and 80 % right, mostly on the same items.
fn student_and_teacher(items: usize, per_cluster: usize, rng: &mut ChaCha8Rng) -> [Scores; 2] {
    let mut scores = [Vec::new(), Vec::new()];
    let mut easy = 0.0;
    for n in 0..items {
        if n.is_multiple_of(per_cluster) {
            easy = rng.random_range(-0.1..0.1);
        }
        let luck: f64 = rng.random();
        let own: f64 = rng.random_range(-0.1..0.1);
        for (scores, skill) in scores.iter_mut().zip([0.7 + own, 0.8 - own]) {
            let item = ItemScore::new(n.to_string(), f64::from(u8::from(luck < skill + easy)));
            let cluster = (n / per_cluster).to_string();
            scores.push(if per_cluster > 1 {
                item.with_cluster(cluster)
            } else {
                item
            });
        }
    }
    scores.map(|items| Scores::new(items).unwrap())
}

fn options(seed: u64) -> PairedOptions {
    PairedOptions {
        bootstrap: PairedBootstrap {
            resamples: 400,
            seed,
        },
        flips: SignFlips { flips: 1, seed },
        ..PairedOptions::new(seed)
    }
}

#[test]
fn the_interval_of_a_difference_holds_the_truth_95_times_in_100() {
    is_honest(coverage(1500, |trial| {
        let mut rng = ChaCha8Rng::seed_from_u64(trial);
        let [student, teacher] = student_and_teacher(250, 1, &mut rng);
        let found = PairedComparison::new(&student, &teacher, &options(trial)).unwrap();
        (found.overall.interval.unwrap(), -0.1)
    }));
}

#[test]
fn the_interval_of_a_clustered_difference_holds_the_truth_95_times_in_100() {
    is_honest(coverage(1500, |trial| {
        let mut rng = ChaCha8Rng::seed_from_u64(10_000 + trial);
        let [student, teacher] = student_and_teacher(400, 4, &mut rng);
        let found = PairedComparison::new(&student, &teacher, &options(trial)).unwrap();
        (found.overall.interval.unwrap(), -0.1)
    }));
}

#[test]
fn the_interval_of_the_retained_share_holds_the_truth_95_times_in_100() {
    is_honest(coverage(1500, |trial| {
        let mut rng = ChaCha8Rng::seed_from_u64(20_000 + trial);
        let [student, teacher] = student_and_teacher(250, 1, &mut rng);
        let bootstrap = options(trial).bootstrap;
        let found = Comparison::of_scores(&teacher, &student, None, bootstrap).unwrap();
        (found.retained.interval.unwrap(), 0.7 / 0.8)
    }));
}

#[test]
fn the_interval_of_a_mean_over_few_clusters_holds_the_truth_95_times_in_100() {
    is_honest(coverage(4000, |trial| {
        let mut rng = ChaCha8Rng::seed_from_u64(30_000 + trial);
        let [student, _] = student_and_teacher(200, 10, &mut rng);
        (student.interval().unwrap(), 0.7)
    }));
}
