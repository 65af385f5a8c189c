//! Every way in which a gate passes, fails, or cannot be judged.

use jiff::Timestamp;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};

use super::*;
use crate::{Better, Interval, ItemScore, Metric, Results, Scores, TaskIdentity};

const SCHEMA: &str = "schema = \"potstill.gates/1\"\n";

fn task(version: &str, data: &str) -> TaskIdentity {
    TaskIdentity::of_items("sums", version, &[data]).unwrap()
}

/// Scores of 1 for all items but every `wrong`-th.
fn accuracy(items: usize, wrong: usize, task: TaskIdentity) -> Metric {
    let score = |n: usize| if n % wrong == wrong - 1 { 0.0 } else { 1.0 };
    let item = |n: usize| ItemScore::new(n.to_string(), score(n));
    let scores = Scores::new((0..items).map(item).collect()).unwrap();
    Metric::of_scores(Better::Higher, task, scores)
}

fn results(metric: Metric) -> Results {
    Results::new("student").with_metric("accuracy", metric)
}

/// 400 items, one in 20 wrong.
fn good() -> Results {
    results(accuracy(400, 20, task("1", "a")))
}

/// The same items, one in 4 wrong.
fn bad() -> Results {
    results(accuracy(400, 4, task("1", "a")))
}

fn judge(rules: &str, results: &Results, baseline: Baseline) -> GateReport {
    let gates = Gates::parse(&format!("{SCHEMA}{rules}")).unwrap();
    gates.judge(results, |_| baseline.clone()).unwrap()
}

/// The verdict and what was found, of the only gate.
fn single(rules: &str, results: &Results, baseline: Baseline) -> (Verdict, String) {
    let report = judge(rules, results, baseline);
    assert_eq!(report.outcomes.len(), 1);
    let outcome = report.outcomes.into_iter().next().unwrap();
    (outcome.verdict, outcome.found)
}

#[track_caller]
fn is_unjudged(rules: &str, results: &Results, baseline: Baseline, because: &str) {
    let (verdict, found) = single(rules, results, baseline);
    assert_eq!(verdict, Verdict::Unjudged, "{found}");
    assert!(found.contains(because), "{found}");
    assert_eq!(verdict.exit_code(), 1);
}

fn stored(results: Results) -> Baseline {
    Baseline::Results(Box::new(results))
}

const MIN: &str = "[[threshold]]\nmetric = \"accuracy\"\nmin = 0.94\n";
const CLOSE: &str = "[[non_inferior]]\nmetric = \"accuracy\"\nto = \"b\"\nmargin = 0.02\n";
const KEPT: &str = "[[retained]]\nmetric = \"accuracy\"\nof = \"b\"\nmin = 0.95\n";
const NOT_WORSE: &str = "[[no_regression]]\nmetric = \"accuracy\"\nto = \"b\"\n";

#[test]
fn a_threshold_is_held_against_the_value_or_the_end_of_its_interval() {
    assert_eq!(single(MIN, &good(), Baseline::Unset).0, Verdict::Passed);
    assert_eq!(single(MIN, &bad(), Baseline::Unset).0, Verdict::Failed);
    // 0.95 on 400 items may as well be 0.924.
    let sure = format!("{MIN}bound = \"interval\"\n");
    assert_eq!(
        single(&sure, &good(), Baseline::Unset),
        (Verdict::Failed, "0.9500 (0.9240 to 0.9674)".into())
    );
    let bytes = Results::new("student").with_metric("bytes", Metric::of_value(Better::Lower, 2e6));
    let max = |max: &str| format!("[[threshold]]\nmetric = \"bytes\"\nmax = {max}\n");
    assert_eq!(
        single(&max("2e6"), &bytes, Baseline::Unset).0,
        Verdict::Passed
    );
    assert_eq!(
        single(&max("1.9e6"), &bytes, Baseline::Unset).0,
        Verdict::Failed
    );
    let sure = max("3e6") + "bound = \"interval\"";
    is_unjudged(&sure, &bytes, Baseline::Unset, "bytes has no interval");
}

#[test]
fn a_model_is_not_inferior_only_when_the_interval_says_so() {
    assert_eq!(single(CLOSE, &good(), stored(good())).0, Verdict::Passed);
    assert_eq!(single(CLOSE, &good(), stored(bad())).0, Verdict::Passed);
    assert_eq!(single(CLOSE, &bad(), stored(good())).0, Verdict::Failed);
    // The same difference of nothing, but 60 items that disagree prove no margin of 0.02.
    let shifted = |by: usize| {
        let score = |n: usize| if (n + by).is_multiple_of(3) { 0.0 } else { 1.0 };
        let items = (0..60).map(|n| ItemScore::new(n.to_string(), score(n)));
        let scores = Scores::new(items.collect()).unwrap();
        results(Metric::of_scores(Better::Higher, task("1", "a"), scores))
    };
    let (verdict, found) = single(CLOSE, &shifted(0), stored(shifted(1)));
    assert_eq!(verdict, Verdict::Failed);
    assert!(found.starts_with("difference 0.0000 (-0."), "{found}");
}

#[test]
fn where_less_is_better_more_is_worse() {
    let loss = |values: fn(usize) -> f64| {
        let items = (0..100).map(|n| ItemScore::new(n.to_string(), values(n)));
        let scores = Scores::new(items.collect()).unwrap();
        results(Metric::of_scores(Better::Lower, task("1", "a"), scores))
    };
    let (low, high) = (loss(|n| n as f64 / 100.0), loss(|n| n as f64 / 100.0 + 0.1));
    assert_eq!(single(CLOSE, &low, stored(high.clone())).0, Verdict::Passed);
    assert_eq!(single(CLOSE, &high, stored(low.clone())).0, Verdict::Failed);
    assert_eq!(
        single(NOT_WORSE, &low, stored(high.clone())).0,
        Verdict::Passed
    );
    assert_eq!(
        single(NOT_WORSE, &high, stored(low.clone())).0,
        Verdict::Failed
    );
    is_unjudged(
        KEPT,
        &low,
        stored(high.clone()),
        "less of accuracy is better",
    );
    is_unjudged(CLOSE, &good(), stored(low), "do not agree whether more");
}

#[test]
fn a_share_of_the_teacher_has_to_be_left() {
    assert_eq!(single(KEPT, &good(), stored(good())).0, Verdict::Passed);
    assert_eq!(single(KEPT, &bad(), stored(good())).0, Verdict::Failed);
    let nothing = results(accuracy(400, 1, task("1", "a")));
    is_unjudged(
        KEPT,
        &good(),
        stored(nothing),
        "the teacher answers nothing right",
    );
}

#[test]
fn only_what_is_provably_worse_is_a_regression() {
    assert_eq!(
        single(NOT_WORSE, &good(), stored(good())).0,
        Verdict::Passed
    );
    assert_eq!(single(NOT_WORSE, &bad(), stored(good())).0, Verdict::Failed);
    let (_, found) = single(NOT_WORSE, &bad(), stored(good()));
    assert!(found.ends_with("p ≤ 0.0001"), "{found}");
    let report = judge(&NOT_WORSE.repeat(3), &bad(), stored(good()));
    assert!(report.to_markdown().contains("p ≤ 0.0003"));
    assert!(report.to_junit(noon()).unwrap().contains("p ≤ 0.0003"));
    // One item in 400 is chance, and the report says what would not have been.
    let nearly = {
        let mut items: Vec<ItemScore> = good().metrics["accuracy"].scores.clone().unwrap().into();
        items[0].score = 0.0;
        let scores = Scores::new(items).unwrap();
        results(Metric::of_scores(Better::Higher, task("1", "a"), scores))
    };
    let (verdict, found) = single(NOT_WORSE, &nearly, stored(good()));
    assert_eq!(
        (verdict, found.as_str()),
        (
            Verdict::Passed,
            "difference -0.0025 (0.0070 would likely have shown), p = 1.0000"
        )
    );
}

#[test]
fn many_regression_tests_share_their_level() {
    // Five items lost and none gained: p = 1/16, and with 4 in 400 a little more.
    let worse_by = |items: usize| {
        let score = |n: usize| if n < items { 0.0 } else { 1.0 };
        let items = (0..100).map(|n| ItemScore::new(n.to_string(), score(n)));
        Metric::of_scores(
            Better::Higher,
            task("1", "a"),
            Scores::new(items.collect()).unwrap(),
        )
    };
    let names = ["one", "two", "three", "four"];
    let all = |lost| {
        let add = |results: Results, name: &&str| results.with_metric(*name, worse_by(lost));
        names.iter().fold(Results::new("student"), add)
    };
    let rules = |names: &[&str]| -> String {
        let rule = |name: &&str| format!("[[no_regression]]\nmetric = \"{name}\"\nto = \"b\"\n");
        names.iter().map(rule).collect()
    };
    let verdict = |count| judge(&rules(&names[..count]), &all(7), stored(all(0))).verdict();
    assert_eq!(verdict(1), Verdict::Failed, "2/128 alone");
    assert_eq!(verdict(4), Verdict::Passed, "8/128 together");
}

#[test]
fn a_regression_test_that_nothing_could_fail_does_not_pass() {
    // All of five items lost: p = 2/32.
    let few = |right| {
        let items = (0..5).map(|n| ItemScore::new(n.to_string(), right));
        let scores = Scores::new(items.collect()).unwrap();
        results(Metric::of_scores(Better::Higher, task("1", "a"), scores))
    };
    let rules = format!("{NOT_WORSE}min_items = 5\n");
    is_unjudged(&rules, &few(0.0), stored(few(1.0)), "nothing could fail");
    // So many tests that ten thousand flips are too few for any of them, or too strict a level.
    let many = NOT_WORSE.repeat(501);
    let report = judge(&many, &bad(), stored(good()));
    assert_eq!(report.count(Verdict::Unjudged), 501);
    is_unjudged(
        &format!("alpha = 0.00005\n{NOT_WORSE}"),
        &bad(),
        stored(good()),
        "nothing could fail",
    );
}

#[test]
fn a_few_items_that_agree_prove_no_narrow_margin() {
    let all_right = || results(accuracy(30, 31, task("1", "a")));
    let (verdict, found) = single(CLOSE, &all_right(), stored(all_right()));
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(found, "difference 0.0000 (-0.1135 to 0.1135)");
    let sure = format!("{KEPT}bound = \"interval\"\n");
    let (verdict, found) = single(&sure, &all_right(), stored(all_right()));
    assert_eq!(verdict, Verdict::Failed);
    assert_eq!(found, "share 1.0000 (0.8865 to 1.1280)");
    let many = || results(accuracy(300, 301, task("1", "a")));
    assert_eq!(single(CLOSE, &many(), stored(many())).0, Verdict::Passed);
    assert_eq!(single(&sure, &many(), stored(many())).0, Verdict::Passed);
}

#[test]
fn what_has_no_items_regresses_by_more_than_its_tolerance() {
    let bytes = |value| results(Metric::of_value(Better::Lower, value));
    let within = format!("{NOT_WORSE}tolerance = 100\n");
    assert_eq!(
        single(&within, &bytes(1100.0), stored(bytes(1000.0))).0,
        Verdict::Passed
    );
    assert_eq!(
        single(&within, &bytes(1101.0), stored(bytes(1000.0))).0,
        Verdict::Failed
    );
    is_unjudged(
        NOT_WORSE,
        &bytes(900.0),
        stored(bytes(1000.0)),
        "no items on both sides",
    );
}

#[test]
fn a_tolerance_counts_items_too() {
    let within = |more: &str| format!("{NOT_WORSE}tolerance = 0.1\n{more}");
    let few = || results(accuracy(20, 20, task("1", "a")));
    let clear = "measured on 20 independent items, the gate asks for 30";
    is_unjudged(&within(""), &few(), stored(few()), clear);
    let (verdict, _) = single(&within("min_items = 20\n"), &few(), stored(few()));
    assert_eq!(verdict, Verdict::Passed);
    let report = judge(&within(""), &good(), stored(good()));
    assert_eq!(report.verdict(), Verdict::Passed);
    assert_eq!(report.outcomes[0].items, Some(400));
    // A side that only states its number is one observation.
    let alone = || {
        let mut metric = accuracy(400, 20, task("1", "a"));
        metric.scores = None;
        results(metric)
    };
    let one = "measured on 1 independent items";
    is_unjudged(&within(""), &good(), stored(alone()), one);
    is_unjudged(&within("min_items = 2\n"), &alone(), stored(alone()), one);
    let (verdict, _) = single(&within(""), &alone(), stored(alone()));
    assert_eq!(verdict, Verdict::Passed);
}

#[test]
fn a_missing_metric_does_not_pass() {
    let none = Results::new("student");
    is_unjudged(
        MIN,
        &none,
        Baseline::Unset,
        "no metric accuracy; they have none",
    );
    for rules in [CLOSE, KEPT, NOT_WORSE] {
        is_unjudged(
            rules,
            &none,
            stored(good()),
            "the results have no metric accuracy",
        );
        is_unjudged(
            rules,
            &good(),
            stored(none.clone()),
            "b have no metric accuracy",
        );
    }
}

#[test]
fn an_empty_set_does_not_pass() {
    // Results with no items cannot even be made or read, and few are not enough.
    assert!(Scores::new(vec![]).is_err());
    let few = results(accuracy(20, 20, task("1", "a")));
    for rules in [CLOSE, KEPT, NOT_WORSE] {
        is_unjudged(
            rules,
            &few,
            stored(few.clone()),
            "measured on 20 independent items, the gate asks for 30",
        );
    }
    let many = format!("{MIN}min_items = 401\n");
    is_unjudged(
        &many,
        &good(),
        Baseline::Unset,
        "measured on 400 independent items",
    );
}

#[test]
fn many_items_in_few_clusters_are_few() {
    let item = |n: usize| ItemScore::new(n.to_string(), 1.0).with_cluster((n % 4).to_string());
    let scores = Scores::new((0..400).map(item).collect()).unwrap();
    let few = results(Metric::of_scores(Better::Higher, task("1", "a"), scores));
    for rules in [CLOSE, KEPT, NOT_WORSE] {
        is_unjudged(
            rules,
            &few,
            stored(few.clone()),
            "measured on 4 independent items",
        );
    }
}

#[test]
fn what_is_no_number_does_not_pass() {
    for value in [f64::NAN, f64::INFINITY] {
        let broken = results(Metric::of_value(Better::Higher, value));
        is_unjudged(MIN, &broken, Baseline::Unset, "accuracy is ");
        for rules in [CLOSE, KEPT, NOT_WORSE] {
            is_unjudged(rules, &broken, stored(good()), "in the results");
            is_unjudged(rules, &good(), stored(broken.clone()), "in b");
        }
    }
}

#[test]
fn a_number_that_its_items_do_not_give_does_not_pass() {
    let mut forged = bad();
    forged.metrics.get_mut("accuracy").unwrap().value = 0.99;
    is_unjudged(
        MIN,
        &forged,
        Baseline::Unset,
        "but the mean of its items is 0.75",
    );
    let mut alone = Metric::of_value(Better::Higher, 0.5);
    alone.interval = Some(Interval {
        low: 0.95,
        high: 0.99,
    });
    let sure = format!("{MIN}bound = \"interval\"\n");
    is_unjudged(
        &sure,
        &results(alone),
        Baseline::Unset,
        "has no interval around it",
    );
}

#[test]
fn a_stale_baseline_does_not_pass() {
    let with = |task| stored(results(accuracy(400, 20, task)));
    let renamed = TaskIdentity {
        name: "products".into(),
        ..task("1", "a")
    };
    for rules in [CLOSE, KEPT, NOT_WORSE] {
        for (baseline, because) in [
            (with(task("1", "b")), "on other data"),
            (with(task("2", "a")), "on version 2 of the task, here on 1"),
            (with(renamed.clone()), "on the task products, here on sums"),
        ] {
            is_unjudged(rules, &good(), baseline, because);
        }
        let nowhere = stored(results(Metric::of_value(Better::Higher, 0.5)));
        is_unjudged(rules, &good(), nowhere, "is stale");
        let fewer = with(task("1", "a"));
        let some = results(accuracy(399, 20, task("1", "a")));
        is_unjudged(rules, &some, fewer, "item 399");
    }
}

#[test]
fn a_baseline_that_is_not_there_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Baseline::of_file(folder.path(), "teacher.json");
    for rules in [CLOSE, KEPT, NOT_WORSE] {
        is_unjudged(rules, &good(), missing.clone(), "cannot read");
        is_unjudged(
            rules,
            &good(),
            Baseline::of_file(folder.path(), "@champion"),
            "no registry",
        );
        is_unjudged(rules, &good(), Baseline::Unset, "b points nowhere yet");
        let first = format!("{rules}unset_alias = \"pass\"\n");
        assert_eq!(single(&first, &good(), Baseline::Unset).0, Verdict::Passed);
        is_unjudged(&first, &good(), missing.clone(), "cannot read");
    }
    std::fs::write(folder.path().join("teacher.json"), "{\"schema\": 1}").unwrap();
    let broken = Baseline::of_file(folder.path(), "teacher.json");
    is_unjudged(CLOSE, &good(), broken, "is not a file of results: ");
}

#[test]
fn a_file_that_is_not_understood_is_refused() {
    for (text, problem) in [
        ("", "missing field `schema`"),
        ("schema = \"potstill.gates/1\"", "there are no gates"),
        (
            "schema = \"potstill.gates/9\"\n[[threshold]]\nmetric = \"a\"\nmin = 1",
            "potstill.gates/9",
        ),
        (&format!("{SCHEMA}{MIN}mni = 3"), "unknown field `mni`"),
        (
            &format!("{SCHEMA}{MIN}[[treshold]]\nmetric = \"a\""),
            "unknown field `treshold`",
        ),
        (
            &format!("{SCHEMA}[[threshold]]\nmetric = \"a\""),
            "min is missing, it must be given unless max is",
        ),
        (
            &format!("{SCHEMA}[[threshold]]\nmetric = \"a\"\nmin = nan"),
            "min is NaN, it must be finite",
        ),
        (
            &format!("{SCHEMA}[[threshold]]\nmetric = \"a\"\nmin = 2\nmax = 1"),
            "min is 2, it must be at most max",
        ),
        (
            &format!("{SCHEMA}{}", CLOSE.replace("0.02", "0.0")),
            "margin is 0, it must be more than 0",
        ),
        (
            &format!("{SCHEMA}{}", KEPT.replace("0.95", "nan")),
            "min is NaN",
        ),
        (
            &format!("{SCHEMA}{NOT_WORSE}tolerance = -1.0"),
            "tolerance is -1",
        ),
        (&format!("{SCHEMA}alpha = 0.0\n{MIN}"), "alpha is 0"),
    ] {
        let error = Gates::parse(text).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let shown = format!("{error} {}", cause.unwrap_or_default());
        assert!(shown.contains(problem), "{shown}");
    }
    let missing = Gates::read("no/such/gates.toml").unwrap_err();
    assert!(
        missing.to_string().contains("no/such/gates.toml"),
        "{missing}"
    );
}

#[test]
fn one_failure_decides_and_doubt_does_not_pass() {
    let doubt = "[[threshold]]\nmetric = \"speed\"\nmin = 1\n";
    let verdict = |rules: &str, results: &Results| judge(rules, results, Baseline::Unset).verdict();
    assert_eq!(
        verdict(&format!("{MIN}{doubt}"), &good()),
        Verdict::Unjudged
    );
    assert_eq!(verdict(&format!("{MIN}{doubt}"), &bad()), Verdict::Failed);
    assert_eq!(verdict(&format!("{MIN}{MIN}"), &good()), Verdict::Passed);
    let codes = [Verdict::Passed, Verdict::Failed, Verdict::Unjudged].map(Verdict::exit_code);
    assert_eq!(codes, [0, 100, 1]);
}

fn noon() -> Timestamp {
    "2026-03-01T12:00:00.123Z".parse().unwrap()
}

fn mixed() -> GateReport {
    let odd = "[[threshold]]\nmetric = \"a <b> & \\\"c\\\" | d\\u0007\"\nmax = 3\n";
    judge(&format!("{MIN}{odd}{NOT_WORSE}"), &bad(), stored(bad()))
}

#[test]
fn junit_is_well_formed_and_tells_failures_from_errors() {
    let xml = mixed().to_junit(noon()).unwrap();
    let mut reader = Reader::from_str(&xml);
    let (mut names, mut cases) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                let name = start.name().as_ref().to_owned();
                if name == "testcase" {
                    let attribute = start.try_get_attribute("name").unwrap().unwrap();
                    cases.push(
                        attribute
                            .normalized_value(XmlVersion::Explicit1_0)
                            .unwrap()
                            .into_owned(),
                    );
                }
                names.push(name);
            }
            _ => {}
        }
    }
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    assert_eq!(
        (count("testcase"), count("failure"), count("error")),
        (3, 1, 1)
    );
    assert!(
        cases.contains(&"a <b> & \"c\" | d\u{fffd} is at most 3".to_owned()),
        "{cases:?}"
    );
    assert!(
        xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""),
        "{xml}"
    );
    let suite = "<testsuite name=\"gates for student\" timestamp=\"2026-03-01T12:00:00Z\" tests=";
    assert!(xml.contains(suite), "{xml}");
}

#[test]
fn markdown_stays_in_its_cells() {
    let report = mixed();
    let text = report.to_markdown();
    let expected = "\
**Failed**: student (1 of 3 gates passed, 1 failed, 1 could not be judged)

| | gate | found | items |
|---|---|---|--:|
| **failed** | accuracy is at least 0.94 | 0.7500 (0.7053 to 0.7899) | 400 |
| **unjudged** | a \\<b\\> & \"c\" \\| d  is at most 3 | the results have no metric a \\<b\\> & \"c\" \\| d ; they have accuracy | – |
| passed | accuracy is not worse than b's | difference 0.0000, p = 1.0000 | 400 |
";
    assert_eq!(text, expected);
    let folder = tempfile::tempdir().unwrap();
    report
        .write_markdown(folder.path().join("gates.md"))
        .unwrap();
    report.write_junit(folder.path().join("gates.xml")).unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("gates.md")).unwrap(),
        expected
    );
    assert!(
        report
            .write_junit(folder.path().join("no/gates.xml"))
            .is_err()
    );
}

#[test]
fn the_same_results_get_the_same_report() {
    let report = || {
        judge(
            &format!("{MIN}{CLOSE}{KEPT}{NOT_WORSE}"),
            &bad(),
            stored(good()),
        )
    };
    assert_eq!(report(), report());
    let json = serde_json::to_string(&report()).unwrap();
    assert_eq!(serde_json::from_str::<GateReport>(&json).unwrap(), report());
}
