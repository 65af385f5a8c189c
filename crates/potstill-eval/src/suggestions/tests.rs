//! Each suggestion on either side of its threshold.

use serde_json::json;

use super::*;
use crate::{AnswerLengths, Calibration, Profile, Proportion, Results, TokenWork};

/// A model of a million parameters that decodes at `rate` tokens a second where memory gives 4 GB/s.
fn profile(rate: f64) -> Profile {
    serde_json::from_value(json!({
        "parameters": 1_000_000, "parameter_bytes": 4_000_000, "disk_bytes": null,
        "work": TokenWork {
            context: 10,
            decode_flops: 2e6,
            prefill_flops: 2e6,
            parameters_read: 1_000_000,
            vocabulary_parameters: 300_000,
            cache_bytes_per_token: 0,
        },
        "tokens": {
            "first_token": {"p50": 0.1, "p95": 0.1, "p99": 0.1}, "between_tokens": null,
            "decode_tokens_per_second": rate, "answers": 9, "tokens": 99
        },
        "memory_bandwidth": 4e9, "latency_seconds": 0.5, "prefill_tokens_per_second": 1e4,
        "generated_tokens_per_second": 20.0, "peak_rss_bytes": null, "prompts": 1,
        "prompt_tokens": 3, "new_tokens": 4, "batch": 1, "repeats": 1
    }))
    .unwrap()
}

fn outcome(rate: f64) -> Outcome {
    Outcome::new(Results::new("student"), profile(rate))
}

#[track_caller]
fn check(outcome: &Outcome, expected: &[SuggestionKind]) {
    let found = outcome.suggestions();
    let kinds: Vec<SuggestionKind> = found.iter().map(|suggestion| suggestion.kind).collect();
    assert_eq!(kinds, expected, "{found:?}");
    for suggestion in found {
        assert_eq!(suggestion.model, "student");
        let first = &suggestion.evidence[0];
        assert!(
            first.threshold.is_some() && first.value.is_finite(),
            "{suggestion}"
        );
    }
}

#[test]
fn decoding_is_bound_by_memory_by_overhead_or_by_neither() {
    // 4 MB a token: a thousand tokens a second are all that memory gives.
    check(&outcome(510.0), &[SuggestionKind::MemoryBound]);
    check(&outcome(490.0), &[]);
    check(&outcome(190.0), &[SuggestionKind::OverheadBound]);
    // Faster than memory: from the caches.
    check(&outcome(1300.0), &[]);
    // Prefill is no faster than decoding: bound by arithmetic.
    let mut slow = outcome(190.0);
    slow.profile.prefill_tokens_per_second = 400.0;
    check(&slow, &[]);
}

#[test]
fn nothing_is_suggested_on_what_was_not_measured() {
    let mut unknown = outcome(510.0);
    unknown.profile.memory_bandwidth = None;
    check(&unknown, &[]);
    unknown.profile.work = None;
    unknown.profile.tokens = None;
    check(&unknown, &[]);
}

#[test]
fn a_vocabulary_of_two_fifths_is_heavy() {
    let mut heavy = outcome(490.0);
    for (parameters, expected) in [
        (399_999, &[][..]),
        (400_000, &[SuggestionKind::VocabularyHeavy]),
    ] {
        heavy.profile.work.as_mut().unwrap().vocabulary_parameters = parameters;
        check(&heavy, expected);
    }
}

#[test]
fn a_block_is_idle_beside_the_others() {
    let mut idle = outcome(490.0);
    idle.block_influence = Some(vec![0.4, 0.39, 0.05, 0.41]);
    check(&idle, &[SuggestionKind::IdleBlocks]);
    let text = idle.suggestions()[0].to_string();
    assert!(
        text.starts_with("student: Of 4 blocks, block 2 changes "),
        "{text}"
    );
    assert!(
        text.contains("[influence of block 2 0.0500 (threshold 0.0988); "),
        "{text}"
    );
    idle.block_influence = Some(vec![0.4, 0.39, 0.2, 0.41]);
    check(&idle, &[]);
    idle.block_influence = Some(vec![0.4, 0.001]);
    check(&idle, &[]);
}

#[test]
fn miscalibration_is_more_than_chance_shows() {
    let answers = |confidence: f64, right: usize, of: usize| {
        Calibration::new((0..of).map(|n| (confidence, n < right))).unwrap()
    };
    let mut sure = outcome(490.0);
    sure.calibration = Some(answers(0.9, 700, 1000));
    check(&sure, &[SuggestionKind::Miscalibrated]);
    assert!(sure.suggestions()[0].text.contains("temperature above 1"));
    sure.calibration = Some(answers(0.5, 700, 1000));
    assert!(sure.suggestions()[0].text.contains("temperature below 1"));
    // The same gap on ten answers is what chance does.
    sure.calibration = Some(answers(0.9, 7, 10));
    assert!(sure.calibration.as_ref().unwrap().expected_error > 0.19);
    sure.calibration = Some(answers(0.5, 7, 10));
    check(&sure, &[]);
    sure.calibration = Some(answers(0.74, 700, 1000));
    check(&sure, &[]);
}

#[test]
fn answers_that_are_cut_off_are_noticed() {
    let mut long = outcome(490.0);
    for (cut_off, expected) in [(9, &[][..]), (10, &[SuggestionKind::CutOff])] {
        long.answers = Some(AnswerLengths {
            mean_tokens: 31.0,
            cut_off: Proportion::new(cut_off, 200),
        });
        check(&long, expected);
    }
}

#[test]
fn a_suggestion_survives_json() {
    let mut given = outcome(510.0).suggestions();
    let json = serde_json::to_string(&given).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Suggestion>>(&json).unwrap(),
        given
    );
    given[0].evidence[0].threshold = None;
    assert_ne!(
        serde_json::from_str::<Vec<Suggestion>>(&json).unwrap(),
        given
    );
}
