//! One report, seen as JSON, as a table and as a page.

use serde_json::json;

use super::*;
use crate::{
    Baseline, Better, CostAxis, Evidence, ExactMatch, Gates, ItemResult, ItemScore,
    JudgedCandidate, MachinePrice, Metric, PairedBootstrap, ParetoPoint, Point, SampleAnswer,
    Scale, Scores, Series, SuggestionKind, TaskIdentity, TokenLatency, samples,
};

fn measured(right: usize) -> ExactMatch {
    let results = (0..200).map(|n| ItemResult {
        id: n.to_string(),
        problem: format!("{n}+{n}="),
        expected: (2 * n).to_string(),
        answer: if n < right {
            (2 * n).to_string()
        } else {
            String::new()
        },
        correct: n < right,
        new_tokens: 4,
        cut_off: false,
    });
    ExactMatch {
        results: results.collect(),
    }
}

fn costs(parameters: u64, latency_seconds: f64) -> Profile {
    Profile {
        parameters,
        parameter_bytes: 4 * parameters,
        disk_bytes: Some(4 * parameters + 12_345),
        work: None,
        latency_seconds,
        tokens: None,
        prefill_tokens_per_second: 40.0 / latency_seconds,
        decode_tokens_per_second: None,
        generated_tokens_per_second: 9.0 / latency_seconds,
        memory_bandwidth: None,
        peak_rss_bytes: Some(312_000_000),
        own_peak_bytes: None,
        joules_per_token: None,
        prices: None,
        prompts: 32,
        prompt_tokens: 256,
        new_tokens: 160,
        batch: 16,
        repeats: 5,
    }
}

fn curve(steps: u64, start: f64) -> Vec<Point> {
    (1..=steps)
        .map(|step| Point {
            step: 5 * step,
            value: start / (1.0 + 0.1 * step as f64),
        })
        .collect()
}

fn report() -> Report {
    let (teacher, student, baseline) = (measured(196), measured(190), measured(120));
    let close = |forward_kl, top1_agreement| HeldOut {
        rows: 12_800,
        weight: 12_800.0,
        forward_kl,
        top1_agreement,
        rank_correlation: Some(0.9),
        student_nll: 0.51 + forward_kl,
        teacher_nll: 0.5,
    };
    let model = |name: &str, role, found: &ExactMatch, held_out, profile| ModelReport {
        exact_match: Some(found.accuracy()),
        held_out,
        profile: Some(profile),
        ..ModelReport::new(name, role)
    };
    let models = vec![
        model(
            "teacher",
            ModelRole::Teacher,
            &teacher,
            None,
            costs(812_544, 0.0123),
        ),
        model(
            "distilled",
            ModelRole::Student,
            &student,
            Some(close(0.0312, 0.961)),
            costs(70_112, 0.0041),
        ),
        model(
            "labels only",
            ModelRole::Baseline,
            &baseline,
            Some(close(0.91, 0.72)),
            costs(70_112, 0.0041),
        ),
    ];
    let mut provenance = Provenance::new("cargo run --release -p quickstart");
    provenance.seed = Some(7);
    provenance.machine = "linux x86_64, 2 threads".into();
    provenance.config = json!({"train": {"steps": 1500, "learning_rate": 0.003}});
    let mut report = Report::new(
        "Addition",
        "Sums of <two> & \"three\" digits.",
        models,
        provenance,
    );
    let bootstrap = PairedBootstrap {
        resamples: 1000,
        seed: 7,
    };
    report.comparison =
        Some(Comparison::new(&teacher, &student, Some(&baseline), bootstrap).unwrap());
    report.samples = samples(
        &[
            ("teacher", &teacher),
            ("distilled", &student),
            ("labels only", &baseline),
        ],
        6,
    )
    .unwrap();
    let chart = |title: &str, series| Chart {
        title: title.into(),
        value_label: "nats per token".into(),
        scale: Scale::Log,
        series: vec![Series {
            name: "held-out".into(),
            points: series,
        }],
    };
    report.charts = vec![
        chart("Training loss", curve(300, 4.0)),
        chart("Held-out forward KL", curve(12, 2.0)),
    ];
    report
}

#[test]
fn the_table_is_the_one_that_is_expected() {
    let expected = include_str!("../../tests/snapshots/table.txt");
    let table = report().table();
    assert_eq!(table, expected.trim_end(), "\n{table}\n");
}

#[test]
fn the_table_fits_a_terminal_even_with_many_models() {
    let mut report = report();
    let names = [
        "a model with a rather long name",
        "another one",
        "and one more of them",
    ];
    report
        .models
        .extend(names.map(|name| ModelReport::new(name, ModelRole::Other)));
    for line in report.table().lines().take_while(|line| !line.is_empty()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_summary_is_computed_from_the_numbers() {
    let summary = report().summary();
    for part in [
        "The student keeps 96.9 % of the teacher's exact-match accuracy (95 % interval ",
        "200 held-out problems) with 11.6 times fewer parameters.",
        "Distillation closed 92.1 % of the gap between the teacher and the same student trained without it \
         (95 % interval 85.7 to 97.4 %).",
        "On 12,800 held-out tokens its predictions are 0.0312 nats per token from the teacher's, and",
        "96.1 % of the time.",
    ] {
        assert!(
            summary.contains(part),
            "{part:?} is missing from {summary:?}"
        );
    }
}

#[test]
fn no_gap_is_called_closed_that_may_be_open() {
    let summary = |student, baseline| {
        let bootstrap = PairedBootstrap {
            resamples: 1000,
            seed: 7,
        };
        let mut report = report();
        let (teacher, student, baseline) = (measured(196), measured(student), measured(baseline));
        let comparison = Comparison::new(&teacher, &student, Some(&baseline), bootstrap);
        report.comparison = Some(comparison.unwrap());
        report.summary()
    };
    let (unsure, worse) = (summary(121, 120), summary(100, 120));
    assert!(
        unsure.contains(
            "without it is not certain: 1.3 % were measured, the 95 % interval is 0.0 to"
        ),
        "{unsure}"
    );
    assert!(
        worse.contains(
            "without the teacher does better: distillation closed -26.3 % of the gap (95"
        ),
        "{worse}"
    );
    let mut report = report();
    let share = report.comparison.as_mut().unwrap().gap_closed.as_mut();
    let share = share.unwrap();
    share.interval = None;
    share.reason = Some("no interval: one cluster".into());
    let unknown = report.summary();
    assert!(
        unknown.contains("cannot be said: 92.1 % were measured, with no interval: one cluster."),
        "{unknown}"
    );
    for text in [unsure, worse, unknown] {
        assert!(!text.contains("Distillation closed"), "{text}");
    }
}

#[test]
fn a_student_that_costs_more_is_not_said_to_cost_less() {
    let with = |parameters, latency| {
        let mut report = report();
        report.models[1].profile = Some(costs(parameters, latency));
        (report.summary(), report.to_html().unwrap())
    };
    let (summary, page) = with(2 * 812_544, 0.0123);
    assert!(
        summary.contains("with 2.00 times as many parameters."),
        "{summary}"
    );
    for text in [&summary, &page] {
        assert!(
            !text.contains("fewer") && !text.contains("shorter"),
            "{text}"
        );
    }
    let (summary, page) = with(812_544, 0.03);
    assert!(summary.contains("with as many parameters."), "{summary}");
    assert!(page.contains("2.44 ×"), "{page}");
}

#[test]
fn the_summary_tells_before_from_after() {
    let mut report = report();
    report.comparison = None;
    report.models[2].role = ModelRole::Undistilled;
    let summary = report.summary();
    assert!(
        summary.contains("0.0312 nats per token from the teacher's (0.910 before distillation)"),
        "{summary}"
    );
    assert!(
        summary.contains("96.1 % of the time (72.0 % before)."),
        "{summary}"
    );
}

#[test]
fn a_share_that_is_undefined_gives_its_reason_everywhere() {
    let mut report = report();
    let (all, none) = (measured(200), measured(0));
    let comparison = Comparison::new(
        &all,
        &none,
        Some(&all),
        PairedBootstrap {
            resamples: 10,
            seed: 0,
        },
    );
    report.comparison = Some(comparison.unwrap());
    let reason = "the baseline is as accurate as the teacher, so there is no gap to close";
    assert!(report.summary().contains(reason));
    assert!(
        report
            .table()
            .contains(&format!("Gap closed by distillation: – ({reason})"))
    );
    assert!(report.to_html().unwrap().contains(reason));
}

#[test]
fn a_report_survives_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let mut report = report();
    report.charts[0].series[0].points[3].value = f64::NEG_INFINITY;
    report.models[1].held_out.as_mut().unwrap().student_nll = f64::INFINITY;
    report.write_json(&path).unwrap();
    assert_eq!(Report::read_json(&path).unwrap(), report);
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["schema"], "potstill.report/1");
    assert_eq!(json["models"][1]["role"], "student");
}

#[test]
fn json_that_is_no_report_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Report::read_json(&path).unwrap_err().to_string()
    };
    assert!(refused("{\"schema\": \"potstill.rep").ends_with("report.json is not a report"));
    assert!(
        refused("{\"schema\": \"potstill.report/1\"}").ends_with("report.json is not a report")
    );
    let message = refused("{\"schema\": \"potstill.report/9\", \"new\": 1}");
    assert!(
        message.contains("\"potstill.report/9\", this version reads \"potstill.report/1\""),
        "{message}"
    );
    let error = report()
        .write_json(folder.path().join("missing/report.json"))
        .unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

#[test]
fn the_page_escapes_what_is_not_its_own() {
    let mut report = report();
    let hostile = "<script>alert('x')</script>";
    report.title = hostile.into();
    report.models[0].name = hostile.into();
    report.charts[0].title = hostile.into();
    report.charts[0].value_label = hostile.into();
    report.charts[0].series[0].name = hostile.into();
    report.provenance.command = hostile.into();
    report
        .provenance
        .versions
        .insert(hostile.into(), hostile.into());
    report.provenance.config = json!({ hostile: hostile });
    report.samples[0].problem = hostile.into();
    report.samples[0].expected = Some(hostile.into());
    report.samples[0].answers[0] = SampleAnswer {
        model: "\" onclick=\"x".into(),
        answer: hostile.into(),
        correct: None,
    };
    let page = report.to_html().unwrap();
    assert!(
        !page.contains("<script") && !page.contains("\" onclick"),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;"));
    assert!(page.contains("Sums of &lt;two&gt; &amp; &quot;three&quot; digits."));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = report().to_html().unwrap() + &full().to_html().unwrap();
    for foreign in ["src=", "href=", "url(", "@import", "<link", "<script"] {
        assert!(!page.contains(foreign), "{foreign} found");
    }
    for part in [
        "Addition",
        "Answers side by side",
        "seed 7",
        "learning_rate",
        "no answer",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
}

#[test]
fn every_color_of_a_picture_has_a_rule_for_dark_mode() {
    let mut report = full();
    let points = curve(5, 1.0);
    report.charts[0].series = (0..4)
        .map(|n| Series {
            name: n.to_string(),
            points: points.clone(),
        })
        .collect();
    let page = report.to_html().unwrap();
    let (style, body) = page.split_once("</style>").unwrap();
    for attribute in ["fill=\"#", "stroke=\"#"] {
        for found in body.split(attribute).skip(1) {
            let rule = format!("[{attribute}{}\"]", &found[..6]);
            assert!(style.contains(&rule), "{rule} is missing");
        }
    }
}

/// A report with everything in it.
fn full() -> Report {
    let mut report = report();
    for (n, model) in report.models.iter_mut().enumerate() {
        let item = |item: usize| {
            let score = if item.is_multiple_of(n + 2) { 0.0 } else { 1.0 };
            let category = if item < 60 {
                "short sums"
            } else {
                "<long> sums"
            };
            ItemScore::new(item.to_string(), score).with_category(category)
        };
        let scores = Scores::new((0..100).map(item).collect()).unwrap();
        let task = TaskIdentity::of_items("sums", "1", &["1+1"]).unwrap();
        let accuracy = Metric::of_scores(Better::Higher, task, scores);
        model.results = Some(Results::new(&model.name).with_metric("accuracy", accuracy));
        let answers = (0..500).map(|item| (f64::from(item % 50) / 50.0, item % 3 > 0));
        model.calibration = Some(Calibration::new(answers).unwrap());
    }
    let point = |(n, model): (usize, &ModelReport)| ParetoPoint {
        name: model.name.clone(),
        quality: 0.5 + 0.1 * n as f64,
        interval: None,
        cost: 1.0 + n as f64,
    };
    let points = report.models.iter().enumerate().map(point).collect();
    report.paretos = vec![Pareto::new(
        "accuracy",
        Better::Higher,
        CostAxis::Size,
        points,
    )];
    let gates = Gates::parse(
        "schema = \"potstill.gates/1\"\n[[threshold]]\nmetric = \"accuracy\"\nmin = 0.6",
    )
    .unwrap();
    let judged = report.models.iter().map(|model| {
        let results = model.results.as_ref().unwrap();
        JudgedCandidate {
            name: model.name.clone(),
            parameters: 70_112,
            parameter_bytes: 280_448,
            report: gates.judge(results, |_| Baseline::Unset).unwrap(),
        }
    });
    let viable = MinimalViable {
        candidates: judged.collect(),
    };
    report.gates = vec![viable.candidates[0].report.clone()];
    report.viable = Some(viable);
    report.suggestions = vec![Suggestion {
        model: "distilled".into(),
        kind: SuggestionKind::CutOff,
        text: "Answers are <cut> off: `a<b`.".into(),
        evidence: vec![Evidence {
            name: "share of answers".into(),
            value: 0.123_456,
            threshold: Some(0.05),
        }],
    }];
    report
}

#[test]
fn everything_that_is_known_has_its_place_on_the_page() {
    let page = full().to_html().unwrap();
    for part in [
        "<!doctype html>",
        "Quality against cost",
        "accuracy against weights in memory, MB",
        "The smallest of 3 candidates that passes the gates is distilled, with 70,112 parameters in 0.280 MB.",
        "passes, the smallest that does",
        "accuracy is at least 0.6: 0.5",
        "Gates of teacher",
        "teacher does not pass the gates: of 1, 1 failed and 0 could not be judged.",
        "Answers are &lt;cut&gt; off: <code>a&lt;b</code>.",
        "share of answers <b>0.123</b> against 0.0500",
        "accuracy\u{a0}↑ by category",
        "&lt;long&gt; sums, n = 40",
        "short sums, n = 60",
        "Reliability of distilled",
        "by chance alone",
    ] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
    assert!(page.starts_with("<!doctype html>"), "{}", &page[..80]);
}

#[test]
fn what_follows_from_shape_and_machine_is_shown_where_it_is_known() {
    let mut report = report();
    let profile = report.models[1].profile.as_mut().unwrap();
    profile.joules_per_token = Some(0.0123);
    profile.prices = Some(MachinePrice::new(0.36, "EUR").prices(1e4, 200.0));
    profile.tokens = TokenLatency::of(&[vec![0.5, 0.6, 0.7]]);
    let page = report.to_html().unwrap();
    for part in [
        "12.3",
        "0.500 EUR",
        "Time to first token",
        "99 % of gaps below",
    ] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
    assert!(!page.contains("Cache for a token"), "{page}");
    assert_eq!(report.table(), self::report().table());
}

#[test]
fn a_report_of_an_older_version_is_read() {
    let mut json: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
    for field in ["paretos", "viable", "gates", "suggestions"] {
        json.as_object_mut().unwrap().remove(field).unwrap();
    }
    for model in json["models"].as_array_mut().unwrap() {
        for field in ["results", "calibration"] {
            model.as_object_mut().unwrap().remove(field).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    std::fs::write(&path, json.to_string()).unwrap();
    assert_eq!(Report::read_json(&path).unwrap(), report());
    full().write_json(&path).unwrap();
    assert_eq!(Report::read_json(&path).unwrap(), full());
}

#[test]
fn an_empty_report_is_still_a_page_and_a_table() {
    let mut empty = Report::new("Nothing", "", Vec::new(), Provenance::new("none"));
    empty.charts = vec![Chart {
        title: "Training loss".into(),
        value_label: "nats per token".into(),
        scale: Scale::Log,
        series: vec![Series {
            name: "train".into(),
            points: vec![Point {
                step: 1,
                value: f64::NAN,
            }],
        }],
    }];
    let page = empty.to_html().unwrap();
    assert!(page.contains("Nothing was measured.") && page.contains("No finite value to draw."));
    assert_eq!(
        empty.summary(),
        "Nothing was measured that compares student and teacher."
    );
    assert!(!empty.table().contains("Exact match"));
}

#[test]
fn samples_without_a_right_answer_are_shown_without_marks() {
    let mut report = report();
    let answer = SampleAnswer {
        model: "distilled".into(),
        answer: "Once".into(),
        correct: None,
    };
    report.samples = vec![Sample {
        problem: "Begin.".into(),
        expected: None,
        answers: vec![answer],
    }];
    let page = report.to_html().unwrap();
    assert!(page.contains(">Once</td>") && !page.contains("Expected") && !page.contains("✓"));
}

#[test]
fn a_page_replaces_the_old_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    report().write_html(&path).unwrap();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .ends_with("</html>\n")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
