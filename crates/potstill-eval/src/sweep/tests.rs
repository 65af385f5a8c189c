//! Sweeps that are killed, repeated, changed and judged.

use std::convert::Infallible;

use serde_json::json;

use super::*;
use crate::{Baseline, ModelRole, PairedOptions, Provenance};
use crate::{Gates, ItemScore, Profile, Results, Scores, SuggestionKind, TaskIdentity, Verdict};

/// The outcome of a model of so many bytes that is right in so many of 200 cases.
pub(crate) fn outcome(name: &str, bytes: u64, right: usize) -> Outcome {
    let json = json!({
        "parameters": bytes / 4, "parameter_bytes": bytes, "disk_bytes": null,
        "latency_seconds": bytes as f64 / 1e7, "prefill_tokens_per_second": 100.0,
        "generated_tokens_per_second": 20.0, "peak_rss_bytes": null, "prompts": 1,
        "prompt_tokens": 3, "new_tokens": 4, "batch": 1, "repeats": 1
    });
    let profile: Profile = serde_json::from_value(json).unwrap();
    let item = |n: usize| ItemScore::new(n.to_string(), if n < right { 1.0 } else { 0.0 });
    let scores = Scores::new((0..200).map(item).collect()).unwrap();
    let task = TaskIdentity::of_items("sums", "1", &["1+1"]).unwrap();
    let accuracy = Metric::of_scores(Better::Higher, task, scores);
    Outcome::new(
        Results::new(name).with_metric("accuracy", accuracy),
        profile,
    )
}

fn known(sweep: &mut Sweep, name: &str, bytes: u64, right: usize) {
    let measure = |_: &Path| Ok::<_, Infallible>(outcome(name, bytes, right));
    sweep
        .candidate(name, &json!({"bytes": bytes}), measure)
        .unwrap();
}

fn gates(text: &str) -> Gates {
    Gates::parse(&format!("schema = \"potstill.gates/1\"\n{text}")).unwrap()
}

#[test]
fn a_sweep_that_failed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = json!({"layers": 2, "seed": 7});
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "small", 1000, 100);
    let error = sweep
        .candidate("large", &recipe, |folder| {
            std::fs::write(folder.join("step-1"), "half trained").unwrap();
            Err("out of memory")
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "candidate large could not be measured");

    let mut sweep = Sweep::open(folder.path()).unwrap();
    let never = |_: &Path| -> Result<Outcome, Infallible> { panic!("it is known") };
    let small = sweep
        .candidate("small", &json!({"bytes": 1000}), never)
        .unwrap();
    assert_eq!(small.origin, Origin::Recalled);
    assert_eq!(small.outcome, outcome("small", 1000, 100));
    let large = sweep
        .candidate("large", &recipe, |folder| {
            assert!(folder.join("step-1").exists());
            Ok::<_, Infallible>(outcome("large", 4000, 180))
        })
        .unwrap();
    assert_eq!(large.origin, Origin::Measured);
    assert_eq!(sweep.candidates().len(), 2);
}

#[test]
fn a_recipe_that_changes_is_noticed_and_the_old_one_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let run = |seed: u64, right| {
        let mut sweep = Sweep::open(folder.path()).unwrap();
        let measure = |_: &Path| Ok::<_, Infallible>(outcome("a", 1000, right));
        let candidate = sweep
            .candidate("a", &json!({"seed": seed}), measure)
            .unwrap();
        (
            candidate.origin,
            candidate.outcome.results.metrics["accuracy"].value,
        )
    };
    assert_eq!(run(1, 100), (Origin::Measured, 0.5));
    assert_eq!(run(2, 150), (Origin::RecipeChanged, 0.75));
    assert_eq!(run(1, 0), (Origin::Recalled, 0.5));
}

#[test]
fn names_and_files_that_mean_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    let measure = |_: &Path| Ok::<_, Infallible>(outcome("a", 1000, 100));
    for name in ["", "..", "a/b", ".a"] {
        let error = sweep.candidate(name, &(), measure).unwrap_err();
        assert!(matches!(error, SweepError::Name { .. }), "{error}");
    }
    sweep.candidate("a", &(), measure).unwrap();
    let error = sweep.candidate("a", &1, measure).unwrap_err().to_string();
    assert_eq!(
        error,
        "there are two candidates called a; give each its own name"
    );

    let path = std::fs::read_dir(folder.path().join("a")).unwrap().next();
    let path = path.unwrap().unwrap().path().join("outcome.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (text, problem) in [
        (whole.replace("\"a\"", "\"b\""), "has name b, not a"),
        (
            whole.replace("candidate/1", "candidate/2"),
            "has schema potstill.candidate/2",
        ),
        (
            whole.replace("\"recipe\": null", "\"recipe\": 1"),
            "has recipe 1, not null",
        ),
        (
            whole[..whole.len() / 2].into(),
            "remove it to measure again",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut sweep = Sweep::open(folder.path()).unwrap();
        let error = sweep.candidate("a", &(), measure).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_smallest_that_passes_is_named_and_the_others_know_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "large", 4000, 190);
    known(&mut sweep, "tiny", 500, 90);
    known(&mut sweep, "small", 1000, 188);
    let gates = gates(
        "[[threshold]]\nmetric = \"accuracy\"\nmin = 0.9\n[[threshold]]\nmetric = \"parameter_bytes\"\nmax = 3000",
    );
    let found = sweep.minimal_viable(&gates, |_| Baseline::Unset).unwrap();
    assert_eq!(found.smallest().unwrap().name, "small");
    let [tiny, small, large] = &found.candidates[..] else {
        panic!("{found}");
    };
    assert_eq!(small.report.verdict(), Verdict::Passed);
    assert_eq!(tiny.reasons().len(), 1);
    assert!(
        tiny.reasons()[0].starts_with("accuracy is at least 0.9: 0.45"),
        "{found}"
    );
    assert!(
        large.reasons()[0].starts_with("parameter_bytes is at most 3000: 4,000"),
        "{found}"
    );
    assert!(
        found.to_string().ends_with("minimal viable model: small"),
        "{found}"
    );
}

#[test]
fn nobody_is_viable_when_nobody_passes() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "only", 500, 90);
    let gates = gates("[[threshold]]\nmetric = \"perplexity\"\nmax = 3");
    let found = sweep.minimal_viable(&gates, |_| Baseline::Unset).unwrap();
    assert!(found.smallest().is_none());
    assert!(
        found.candidates[0].reasons()[0].contains("no metric perplexity"),
        "{found}"
    );
}

#[test]
fn candidates_stand_by_quality_and_cost() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "small", 1000, 150);
    known(&mut sweep, "odd", 2000, 140);
    known(&mut sweep, "large", 4000, 190);
    let pareto = sweep.pareto("accuracy", CostAxis::Latency).unwrap();
    let front: Vec<&str> = pareto.front().map(|point| point.name.as_str()).collect();
    assert_eq!(front, ["small", "large"]);
    assert_eq!(pareto.points[0].cost, 0.1);
    let price = sweep.pareto("accuracy", CostAxis::Price).unwrap();
    assert_eq!(price.front().count(), 0);
    let error = sweep
        .pareto("speed", CostAxis::Size)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no candidate has the metric speed; there are: accuracy"
    );
}

#[test]
fn a_report_holds_the_whole_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "small", 1000, 188);
    known(&mut sweep, "large", 4000, 190);
    let gates = gates("[[threshold]]\nmetric = \"accuracy\"\nmin = 0.9");
    let viable = sweep.minimal_viable(&gates, |_| Baseline::Unset).unwrap();
    let report = sweep
        .report(
            "Sizes",
            "Two of them.",
            "accuracy",
            viable,
            Provenance::new("none"),
        )
        .unwrap();
    let axes: Vec<CostAxis> = report.paretos.iter().map(|pareto| pareto.axis).collect();
    assert_eq!(axes, [CostAxis::Size, CostAxis::Latency]);
    let roles: Vec<ModelRole> = report.models.iter().map(|model| model.role).collect();
    assert_eq!(roles, [ModelRole::Student, ModelRole::Other]);
    assert_eq!(report.suggestions.len(), 1);
    assert!(
        report
            .summary()
            .contains("The smallest of 2 candidates that passes the gates is small")
    );
}

#[test]
fn a_curve_that_is_flat_and_one_that_rises_are_told_apart() {
    let kinds = |sizes: &[(&str, u64, usize)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut sweep = Sweep::open(folder.path()).unwrap();
        for (name, bytes, right) in sizes {
            known(&mut sweep, name, *bytes, *right);
        }
        let found = sweep
            .suggestions("accuracy", &PairedOptions::new(1))
            .unwrap();
        found
            .into_iter()
            .map(|s| (s.model, s.kind))
            .collect::<Vec<_>>()
    };
    let flat = [("a", 1000, 100), ("b", 2000, 190), ("c", 4000, 191)];
    assert_eq!(kinds(&flat), [("c".to_owned(), SuggestionKind::Saturated)]);
    let rising = [("a", 1000, 100), ("b", 2000, 140), ("c", 4000, 180)];
    assert_eq!(
        kinds(&rising),
        [("c".to_owned(), SuggestionKind::StillRising)]
    );
    // The smaller one may well be 5 % worse.
    let open = [("b", 2000, 186), ("c", 4000, 190)];
    assert!(
        !kinds(&open)
            .iter()
            .any(|(_, kind)| *kind == SuggestionKind::Saturated)
    );
}

#[test]
fn candidates_of_different_tasks_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::open(folder.path()).unwrap();
    known(&mut sweep, "a", 1000, 100);
    sweep
        .candidate("b", &(), |_| {
            let mut other = outcome("b", 2000, 150);
            let metric = other.results.metrics.get_mut("accuracy").unwrap();
            metric.task = Some(TaskIdentity::of_items("sums", "1", &["2+2"]).unwrap());
            Ok::<_, Infallible>(other)
        })
        .unwrap();
    let error = sweep.pareto("accuracy", CostAxis::Size).unwrap_err();
    assert!(matches!(error, SweepError::Tasks { .. }), "{error}");
}
