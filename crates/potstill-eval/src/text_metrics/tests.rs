//! Text metrics against sacrebleu, rouge_score and SQuAD's own script.

use std::collections::HashMap;

use fancy_regex::Regex;
use serde::Deserialize;

use super::*;

/// Written by `record.py` beside it.
const RECORDED: &str = include_str!("../../tests/fixtures/text_metrics/recorded.json");

#[derive(Deserialize)]
struct Recorded {
    segments: Vec<Segment>,
    corpora: Vec<Corpus>,
    matches: Vec<Match>,
    /// Candidate, reference and TER.
    moves: Vec<(String, String, f64)>,
}

#[derive(Deserialize)]
struct Segment {
    candidate: String,
    references: Vec<String>,
    bleu: f64,
    corpus_bleu: f64,
    chrf: f64,
    #[serde(rename = "chrf++")]
    chrf_words: f64,
    ter: f64,
    rouge: Option<[[f64; 3]; 3]>,
}

#[derive(Deserialize)]
struct Corpus {
    begin: usize,
    end: usize,
    bleu: f64,
    chrf: f64,
    #[serde(rename = "chrf++")]
    chrf_words: f64,
    ter: f64,
}

#[derive(Deserialize)]
struct Match {
    answer: String,
    expected: String,
    settings: Settings,
    same: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
    regexes_to_ignore: Vec<String>,
}

fn recorded() -> Recorded {
    serde_json::from_str(RECORDED).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{what}: {found} {expected}"
    );
}

#[test]
fn bleu_chrf_and_ter_of_a_segment_agree_with_sacrebleu() {
    let segments = recorded().segments;
    assert!(segments.len() >= 40);
    for segment in segments {
        let candidate = segment.candidate.as_str();
        let references: Vec<&str> = segment.references.iter().map(String::as_str).collect();
        let bleu = BleuCounts::new(candidate, &references);
        assert_near(bleu.sentence_score(), segment.bleu, candidate);
        assert_near(bleu.score(), segment.corpus_bleu, candidate);
        for (words, expected) in [
            (ChrfWords::Ignored, segment.chrf),
            (ChrfWords::Counted, segment.chrf_words),
        ] {
            let found = ChrfCounts::new(candidate, &references, words).score();
            assert_near(found, expected, candidate);
        }
        let ter = TerCounts::new(candidate, &references).score();
        assert_near(ter, segment.ter, candidate);
    }
}

#[test]
fn words_are_moved_as_in_sacrebleu() {
    let moves = recorded().moves;
    assert!(moves.len() > 60);
    for (candidate, reference, ter) in moves {
        let what = format!("{candidate}, {reference}");
        assert_near(
            TerCounts::new(&candidate, &[&reference]).score(),
            ter,
            &what,
        );
    }
}

#[test]
fn the_counts_of_segments_add_up_to_those_of_a_corpus() {
    let recorded = recorded();
    for corpus in recorded.corpora {
        let segments = &recorded.segments[corpus.begin..corpus.end];
        let what = format!("{}..{}", corpus.begin, corpus.end);
        let bleu: BleuCounts = segments
            .iter()
            .map(|segment| BleuCounts::new(&segment.candidate, &[&segment.references[0]]))
            .sum();
        assert_near(bleu.score(), corpus.bleu, &what);
        for (words, expected) in [
            (ChrfWords::Ignored, corpus.chrf),
            (ChrfWords::Counted, corpus.chrf_words),
        ] {
            let chrf: ChrfCounts = segments
                .iter()
                .map(|segment| {
                    ChrfCounts::new(&segment.candidate, &[&segment.references[0]], words)
                })
                .sum();
            assert_near(chrf.score(), expected, &what);
        }
        let ter: TerCounts = segments
            .iter()
            .map(|segment| TerCounts::new(&segment.candidate, &[&segment.references[0]]))
            .sum();
        assert_near(ter.score(), corpus.ter, &what);
    }
}

#[test]
fn rouge_agrees_with_rouge_score() {
    for segment in recorded().segments {
        let Some(expected) = segment.rouge else {
            continue;
        };
        let (reference, candidate) = (&segment.references[0], &segment.candidate);
        let found = [
            rouge_n(reference, candidate, 1),
            rouge_n(reference, candidate, 2),
            rouge_l(reference, candidate),
        ];
        for (found, [precision, recall, f_measure]) in found.into_iter().zip(expected) {
            assert_near(found.precision, precision, candidate);
            assert_near(found.recall, recall, candidate);
            assert_near(found.f_measure, f_measure, candidate);
        }
    }
}

#[test]
fn answers_match_as_in_the_harness() {
    let matches = recorded().matches;
    assert!(matches.iter().any(|case| case.same) && matches.iter().any(|case| !case.same));
    for case in matches {
        let patterns = case.settings.regexes_to_ignore.iter();
        let matching = AnswerMatch {
            ignore_case: case.settings.ignore_case,
            ignore_punctuation: case.settings.ignore_punctuation,
            ignore_numbers: case.settings.ignore_numbers,
            patterns_to_ignore: patterns
                .map(|pattern| Regex::new(pattern).unwrap())
                .collect(),
        };
        assert_eq!(
            matching.matches(&case.answer, &case.expected),
            case.same,
            "{:?} {:?} {matching:?}",
            case.answer,
            case.expected
        );
    }
}

#[test]
fn words_in_common_are_counted_as_in_squad() {
    let cases: Vec<(String, String, f64)> = serde_json::from_str(include_str!(
        "../../tests/fixtures/text_metrics/squad_f1.json"
    ))
    .unwrap();
    assert!(cases.len() > 40);
    for (answer, expected, f1) in cases {
        assert_near(token_f1(&answer, &expected), f1, &answer);
    }
}

#[test]
fn the_final_number_is_found_however_it_is_written() {
    let cases = HashMap::from([
        ("7 * 6 = 42\n#### 42", Some(42.0)),
        ("#### $1,250.50 and 3", Some(1250.5)),
        ("so it is 12,5", Some(5.0)),
        ("about 1e-3", Some(0.001)),
        ("minus: -3", Some(-3.0)),
        ("5-3", Some(3.0)),
        ("-$5", Some(-5.0)),
        ("half, .5", Some(0.5)),
        ("45%.", Some(45.0)),
        ("1,234,567 people", Some(1_234_567.0)),
        ("####", None),
        ("none", None),
        ("١٢", None),
    ]);
    for (text, expected) in cases {
        assert_eq!(final_number(text), expected, "{text}");
    }
    assert!(same_final_number("that makes 0.30", "#### 0.3"));
    assert!(!same_final_number("none", "none"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_metric_panic(a in "\\PC{0,30}", b in "\\PC{0,30}") {
        let bleu = BleuCounts::new(&a, &[&b]).score();
        let chrf = ChrfCounts::new(&a, &[&b], ChrfWords::Counted).score();
        for score in [bleu, chrf, 100.0 * token_f1(&a, &b), 100.0 * rouge_n(&a, &b, 2).f_measure] {
            proptest::prop_assert!((0.0..=100.0 + 1e-9).contains(&score), "{}", score);
        }
        proptest::prop_assert!(TerCounts::new(&a, &[&b]).score() >= 0.0);
        let _ = final_number(&a);
    }
}
