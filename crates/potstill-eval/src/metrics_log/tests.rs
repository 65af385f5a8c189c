//! Lenient on what is new, strict on what is broken.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<MetricsLog, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::fs::write(&path, text).unwrap();
    MetricsLog::read(&path)
}

const LOG: &str = r#"{"schema":"potstill.metrics/1","step":1,"kind":"train","values":{"loss":2.5,"learning_rate":0.1}}
{"schema":"potstill.metrics/1","step":2,"kind":"train","values":{"loss":null,"learning_rate":0.1},"seconds":3}
{"schema":"potstill.metrics/1","step":2,"kind":"evaluation","values":{"forward_kl":0.5,"top1_agreement":0.25}}
{"schema":"potstill.metrics/1","step":2,"kind":"saved","values":{}}
{"schema":"potstill.metrics/1","step":4,"kind":"evaluation","values":{"forward_kl":"inf","top1_agreement":0.75}}
"#;

#[test]
fn unknown_fields_and_kinds_are_ignored() {
    let log = read(LOG).unwrap();
    assert_eq!(log.lines.len(), 5);
    assert_eq!(log.lines[3].kind, LogKind::Other);
    assert_eq!(
        log.names(LogKind::Evaluation),
        ["forward_kl", "top1_agreement"]
    );
    assert_eq!(
        log.points(LogKind::Evaluation, "top1_agreement"),
        [
            Point {
                step: 2,
                value: 0.25
            },
            Point {
                step: 4,
                value: 0.75
            }
        ]
    );
}

#[test]
fn numbers_that_json_cannot_hold_are_kept() {
    let log = read(LOG).unwrap();
    let loss = log.points(LogKind::Train, "loss");
    assert_eq!(loss[0].value, 2.5);
    assert!(loss[1].value.is_nan());
    assert_eq!(
        log.points(LogKind::Evaluation, "forward_kl")[1].value,
        f64::INFINITY
    );
}

#[test]
fn charts_show_the_loss_and_every_held_out_metric() {
    let charts = read(LOG).unwrap().charts();
    let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Training loss",
            "Held-out forward KL",
            "Held-out top-1 agreement"
        ]
    );
    assert_eq!(
        (charts[0].scale, charts[2].scale),
        (Scale::Log, Scale::Linear)
    );
    assert_eq!(charts[1].value_label, "nats per token");
}

#[test]
fn an_empty_log_has_no_charts() {
    assert_eq!(read("").unwrap().charts(), []);
}

#[track_caller]
fn refused(line: &str, expected: &str) {
    let first = LOG.lines().next().unwrap();
    let error = read(&format!("{first}\n{line}\n")).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("metrics.jsonl, line 2: "), "{message}");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_malformed_line_is_named() {
    refused(
        r#"{"schema":"potstill.metrics/1","step":2,"#,
        "not a line of metrics: EOF",
    );
    refused("", "not a line of metrics");
    refused(
        r#"{"schema":"potstill.metrics/1","step":-2,"kind":"train","values":{}}"#,
        "-2",
    );
    refused(
        r#"{"schema":"potstill.metrics/1","kind":"train","values":{}}"#,
        "step",
    );
    refused(
        r#"{"schema":"other/3","step":2,"kind":"train","values":{}}"#,
        "the schema is \"other/3\"",
    );
    refused(
        r#"{"schema":"potstill.metrics/1","step":2,"kind":"train","values":{"loss":[1]}}"#,
        "\"loss\" is [1], it must be a number",
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = MetricsLog::read("no/such/metrics.jsonl").unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/metrics.jsonl");
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in ".*", cut in 0usize..120) {
        let _ = parse(&line);
        let first = LOG.lines().next().unwrap();
        prop_assert_eq!(parse(&first[..cut.min(first.len())]).is_ok(), cut >= first.len());
    }
}
