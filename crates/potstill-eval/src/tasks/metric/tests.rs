//! Metrics against what lm-evaluation-harness computed.

use serde::Deserialize;

use super::*;

/// Of scikit-learn, through lm_eval's aggregations.
const RECORDED: &str = include_str!("../../../tests/fixtures/text_metrics/recorded.json");

#[derive(Deserialize)]
struct Recorded {
    classes: Vec<Classes>,
}

#[derive(Deserialize)]
struct Classes {
    items: Vec<(i64, i64)>,
    mcc: f64,
    f1: Option<f64>,
}

#[test]
fn scores_of_classes_agree_with_scikit_learn() {
    let recorded: Recorded = serde_json::from_str(RECORDED).unwrap();
    for case in recorded.classes {
        let score = |&(gold, predicted): &(i64, i64)| DocumentScore::Classes { gold, predicted };
        let scores: Vec<DocumentScore> = case.items.iter().map(score).collect();
        let scores: Vec<&DocumentScore> = scores.iter().collect();
        assert!((Aggregation::MatthewsCorrcoef.of(&scores) - case.mcc).abs() < 1e-12);
        if let Some(f1) = case.f1 {
            assert!((Aggregation::F1.of(&scores) - f1).abs() < 1e-12);
        }
    }
}

#[test]
fn the_median_is_the_upper_one() {
    let scores = [1.0, 4.0, 2.0, 3.0].map(DocumentScore::Number);
    assert_eq!(
        Aggregation::Median.of(&scores.iter().collect::<Vec<_>>()),
        3.0
    );
}

#[test]
fn one_document_has_no_error() {
    let scores = [DocumentScore::Number(0.5)];
    for aggregation in [Aggregation::Mean, Aggregation::Perplexity] {
        let found = aggregation.uncertainty(&scores);
        assert_eq!((found.standard_error, found.interval), (None, None));
    }
}

#[test]
fn a_resampled_interval_holds_the_number() {
    let scores: Vec<DocumentScore> = (0..60)
        .map(|n| DocumentScore::Weighted {
            log_prob: -f64::from(n % 7) - 1.0,
            weight: f64::from(n % 3 + 1),
        })
        .collect();
    let value = Aggregation::BitsPerByte.of(&scores.iter().collect::<Vec<_>>());
    let found = Aggregation::BitsPerByte.uncertainty(&scores);
    let interval = found.interval.unwrap();
    assert!(interval.low < value && value < interval.high && found.standard_error.is_none());
}

fn keys(json: serde_json::Value) -> MetricKeys {
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_metric_that_does_not_fit_is_refused_by_name() {
    let refused = |json, output_type| Metric::new(keys(json), output_type).unwrap_err();
    let generate = OutputType::GenerateUntil;
    assert_eq!(
        refused(json!({"metric": "meteor"}), generate),
        "has the metric `meteor`, which is not known for this output type; known are exact_match, \
         bleu, chrf, chrf++, ter"
    );
    assert_eq!(
        refused(json!({"metric": "bleu", "aggregation": "mean"}), generate),
        "sums up `bleu` with `mean`, which cannot be; `bleu` can"
    );
    assert!(
        refused(
            json!({"metric": "acc", "aggregation": "own"}),
            OutputType::MultipleChoice
        )
        .starts_with("has the aggregation `own`; known are mean, ")
    );
    assert_eq!(
        refused(
            json!({"metric": "acc", "ignore_case": true}),
            OutputType::MultipleChoice
        ),
        "has settings for `acc` that only `exact_match` of written answers has"
    );
    assert!(
        refused(
            json!({"metric": "exact_match", "regexes_to_ignore": ["("]}),
            generate
        )
        .starts_with("ignores \"(\": ")
    );
}
