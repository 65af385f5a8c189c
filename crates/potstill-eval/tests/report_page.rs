//! The HTML report in a real browser, as wide as a phone: nothing sticks out, nothing is fetched, nothing
//! goes wrong. Skipped, with a reason, where there is no Chromium.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test, which says why it is skipped"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use potstill_eval::{
    Baseline, Better, Calibration, Chart, CostAxis, Gates, ItemScore, Metric, ModelReport,
    ModelRole, Pareto, ParetoPoint, Point, Profile, Provenance, Report, Results, Sample,
    SampleAnswer, Scale, Scores, Series, TaskIdentity, TokenLatency,
};

/// Longer than a browser takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the browser writes into its title: whether it is done, and what it found.
const CHECK: &str = r#"
<script>
window.onerror = message => { document.title = "failed: " + message; };
onload = () => {
  const frame = document.querySelector("iframe");
  const page = frame.contentDocument.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter(
    element => element.getBoundingClientRect().right > 390.5 && !element.closest(".scroll, pre"));
  document.title = "checked: " + [
    page.scrollWidth > 390 ? "wider than 390 px" : "",
    ...wide.slice(0, 3).map(element => "sticks out: " + element.outerHTML.slice(0, 80)),
    ...frame.contentWindow.performance.getEntriesByType("resource").map(entry => "fetched " + entry.name),
    page.querySelectorAll("svg").length < 6 ? "pictures are missing" : "",
  ].filter(problem => problem).join("; ") + ".";
};
</script>
"#;

#[test]
fn a_phone_shows_the_whole_report_without_asking_anybody() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome on the path");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let page = report().to_html().unwrap();
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<!doctype html><title>loading</title><iframe width=\"390\" height=\"800\" \
         style=\"border:0\" srcdoc=\"{quoted}\"></iframe>{CHECK}"
    );
    let path = folder.path().join("frame.html");
    std::fs::write(&path, frame).unwrap();
    let Some((dom, log)) = open(&browser, &path, folder.path()) else {
        eprintln!("skipped: {} did not open a page", browser.display());
        return;
    };
    let title = dom.split("<title>").nth(1).unwrap();
    let title = title.split("</title>").next().unwrap();
    assert_eq!(title, "checked: .", "{log}");
    assert!(!log.contains("CONSOLE"), "{log}");
}

fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// The page after its scripts ran and what the console said; `None` if the browser gives none.
fn open(browser: &Path, page: &Path, folder: &Path) -> Option<(String, String)> {
    let (dom, log) = (folder.join("dom.html"), folder.join("log.txt"));
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--window-size=1000,900",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("user").display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(File::create(&dom).ok()?)
        .stderr(File::create(&log).ok()?)
        .spawn()
        .ok()?;
    let start = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().ok()?;
            child.wait().ok()?;
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let dom = std::fs::read_to_string(dom).ok()?;
    let log = String::from_utf8_lossy(&std::fs::read(log).ok()?).into_owned();
    dom.contains("<title>").then_some((dom, log))
}

/// One that passes, one that fails, one that cannot be judged.
const GATES: &str = r#"
schema = "potstill.gates/1"
[[threshold]]
metric = "exact_match"
min = 0.5
[[retained]]
metric = "exact_match"
of = "runs/quickstart/teacher/results_2026-11-22T16-47-12.388410.json"
min = 2.0
bound = "interval"
[[threshold]]
metric = "a_metric_that_nobody_measured_and_that_has_a_long_name"
max = 1
"#;

/// Six models with long names and a bit of everything.
fn report() -> Report {
    let names = [
        "teacher",
        "1-layer-of-64",
        "2-layers-of-64",
        "2-layers-of-96",
        "4-layers-of-96",
        "labels-only",
    ];
    let model = |(n, name): (usize, &&str)| {
        let item = |item: usize| {
            let score = if item.is_multiple_of(n + 2) { 0.0 } else { 1.0 };
            let category = if item < 150 {
                "without a carry"
            } else {
                "with_several_carries_in_a_row"
            };
            ItemScore::new(item.to_string(), score).with_category(category)
        };
        let task = TaskIdentity::of_items("sums", "1", &["1+1"]).unwrap();
        let scores = Scores::new((0..300).map(item).collect()).unwrap();
        let accuracy = Metric::of_scores(Better::Higher, task, scores);
        let answers = (0..500).map(|item| (f64::from(item % 50) / 50.0, item % 3 > 0));
        ModelReport {
            results: Some(Results::new(*name).with_metric("exact_match", accuracy)),
            calibration: (n < 2).then(|| Calibration::new(answers).unwrap()),
            profile: Some(profile(n as f64 + 1.0)),
            ..ModelReport::new(
                *name,
                if n == 0 {
                    ModelRole::Teacher
                } else {
                    ModelRole::Other
                },
            )
        }
    };
    let models: Vec<ModelReport> = names.iter().enumerate().map(model).collect();
    let points = models.iter().enumerate().map(|(n, model)| ParetoPoint {
        name: model.name.clone(),
        quality: model.results.as_ref().unwrap().metrics["exact_match"].value,
        interval: None,
        cost: 10.0 / (n as f64 + 1.0),
    });
    let points = points.collect();
    let mut provenance =
        Provenance::new("cargo run --release -p sweep -- --a-rather-long-option=with-a-long-value");
    provenance.config = serde_json::json!({"a_long_key_of_a_configuration": "and_a_long_value_without_any_spaces_in_it"});
    let mut report = Report::new(
        "A sweep of students",
        "Sums of two numbers.",
        models,
        provenance,
    );
    report.paretos = vec![Pareto::new(
        "exact_match",
        Better::Higher,
        CostAxis::Size,
        points,
    )];
    let gates = Gates::parse(GATES).unwrap();
    let (student, teacher) = (&report.models[1], &report.models[0]);
    let teacher = teacher.results.clone().unwrap();
    let judged = gates.judge(student.results.as_ref().unwrap(), |_| {
        Baseline::Results(Box::new(teacher.clone()))
    });
    report.gates = vec![judged.unwrap()];
    report.samples = vec![Sample {
        problem: "123+456=".into(),
        expected: Some("579".into()),
        answers: names
            .map(|model| SampleAnswer {
                model: model.into(),
                answer: "579".repeat(30),
                correct: Some(false),
            })
            .into(),
    }];
    let points = (0..50)
        .map(|step| Point {
            step,
            value: 1.0 / (step as f64 + 1.0),
        })
        .collect();
    report.charts = vec![Chart {
        title: "Training loss".into(),
        value_label: "nats per token".into(),
        scale: Scale::Log,
        series: vec![Series {
            name: "train".into(),
            points,
        }],
    }];
    report
}

fn profile(scale: f64) -> Profile {
    let mut profile: Profile = serde_json::from_value(serde_json::json!({
        "parameters": 793_728, "parameter_bytes": 3_174_912, "disk_bytes": 3_184_000,
        "latency_seconds": 0.001 * scale, "prefill_tokens_per_second": 55_218.0,
        "generated_tokens_per_second": 14_238.0, "peak_rss_bytes": 350_000_000, "prompts": 32,
        "prompt_tokens": 256, "new_tokens": 160, "batch": 16, "repeats": 5
    }))
    .unwrap();
    profile.tokens = TokenLatency::of(&[vec![0.001 * scale, 0.0015 * scale]]);
    profile
}
