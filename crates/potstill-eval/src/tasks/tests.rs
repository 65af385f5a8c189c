//! Whole tasks against what lm-evaluation-harness recorded.

mod chats;
mod groups;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use potstill_data::TextTokenizer;
use serde::Deserialize;

use super::*;
use crate::{Better, Error, LogLikelihood, Results, ScoredTokens, TextModel};

/// What lm-evaluation-harness made of the same files: `record.py` beside them writes it.
const RECORDED: &str = include_str!("../../tests/fixtures/tasks/recorded.json");

const ANSWERS: [&str; 6] = [
    " 3 + 4 = 7\n#### 7",
    " The house is big.",
    " so $42, it is 42.",
    "It is raining .",
    " PARIS!",
    "Where is a station? He came, saw",
];

/// The model of `record.py`: a rule that any program can follow.
struct Rule {
    tokenizer: TextTokenizer,
}

fn rule() -> Rule {
    let tokenizer = TextTokenizer::from_json(
        r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "what", "vocab": {"what": 0}}}"#,
    );
    Rule {
        tokenizer: tokenizer.unwrap(),
    }
}

fn total(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes());
    bytes.map(u64::from).sum()
}

impl TextModel for Rule {
    fn name(&self) -> &'static str {
        "rules/of thumb"
    }

    fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    fn window(&self) -> usize {
        100
    }

    fn score(&self, _: &[ScoredTokens]) -> Result<Vec<LogLikelihood>, Error> {
        unreachable!("the rule is about texts")
    }

    fn write(&self, _: Vec<Vec<u32>>, _: &GenerateUntil) -> Result<Vec<String>, Error> {
        unreachable!("the rule is about texts")
    }

    fn log_likelihood(&self, pairs: &[(&str, &str)]) -> Result<Vec<LogLikelihood>, Error> {
        let rule = |(a, b): &(&str, &str)| LogLikelihood {
            log_prob: -(((7 * total(&[a]) + 13 * total(&[b])) % 101 + 1) as f64) / 8.0,
            is_greedy: total(&[a, b]).is_multiple_of(3),
        };
        Ok(pairs.iter().map(rule).collect())
    }

    fn log_likelihood_rolling(&self, texts: &[&str]) -> Result<Vec<f64>, Error> {
        let rule = |text: &&str| -0.75 * text.len() as f64 - (total(&[text]) % 17) as f64 / 4.0;
        Ok(texts.iter().map(rule).collect())
    }

    fn generate_until(&self, prompts: &[&str], _: &GenerateUntil) -> Result<Vec<String>, Error> {
        let rule = |prompt: &&str| ANSWERS[(total(&[prompt]) / 10 % 6) as usize].to_owned();
        Ok(prompts.iter().map(rule).collect())
    }
}

#[derive(Deserialize)]
struct Recorded {
    results: Map<String, Value>,
    version: Value,
    #[serde(rename = "n-shot")]
    n_shot: usize,
    higher_is_better: BTreeMap<String, bool>,
    samples: Vec<RecordedSample>,
}

#[derive(Deserialize)]
struct RecordedSample {
    arguments: Vec<Vec<Value>>,
    hashes: [String; 3],
    filter: String,
    filtered: Vec<String>,
    metrics: Map<String, Value>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tasks")
        .join(name)
}

fn assert_near(found: &Value, expected: &Value, what: &str) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            for (found, expected) in found.iter().zip(expected) {
                assert_near(found, expected, what);
            }
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!(near(found, expected), "{what}: {found} {expected}");
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

/// Metrics whose standard error comes from a bootstrap, so that it depends on the draws.
const DRAWN: [&str; 7] = ["perplexity", "bleu", "chrf", "chrf++", "ter", "f1", "mcc"];

/// The results of a task or group.
fn assert_numbers(found: &Value, recorded: &Map<String, Value>, name: &str) {
    let found = found.as_object().unwrap();
    assert_eq!(found.len(), recorded.len(), "{name}: {found:?}");
    for (key, expected) in recorded {
        let drawn = DRAWN
            .iter()
            .any(|metric| key.starts_with(&format!("{metric}_stderr")));
        if drawn {
            let (found, expected) = (found[key].as_f64().unwrap(), expected.as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 0.15 * expected,
                "{name} {key}: {found} {expected}"
            );
        } else {
            assert_near(&found[key], expected, &format!("{name} {key}"));
        }
    }
}

fn assert_as_recorded(name: &str, recorded: &Recorded) {
    let task = Task::read(fixture(&format!("{name}.yaml"))).unwrap();
    let run = task.run(&rule()).unwrap();
    assert_eq!(run.samples.len(), recorded.samples.len(), "{name}");
    for (place, (sample, recorded)) in run.samples.iter().zip(&recorded.samples).enumerate() {
        let what = format!("{name}, sample {place}");
        let texts = |arguments: &Vec<Value>| {
            let continuation = arguments.get(1).and_then(Value::as_str);
            let context = arguments[0].as_str().unwrap();
            (
                context.to_owned(),
                continuation.unwrap_or_default().to_owned(),
            )
        };
        let arguments: Vec<(String, String)> = recorded.arguments.iter().map(texts).collect();
        assert_eq!(sample.requests, arguments, "{what}");
        assert_eq!(sample.document_sha256(), recorded.hashes[0], "{what}");
        assert_eq!(sample.prompt_sha256(), recorded.hashes[1], "{what}");
        assert_eq!(sample.target_sha256(), recorded.hashes[2], "{what}");
        assert_eq!(sample.filter, recorded.filter, "{what}");
        if let Some(answer) = &sample.answer {
            assert_eq!(std::slice::from_ref(answer), recorded.filtered, "{what}");
        }
        for (metric, score) in &sample.scores {
            let expected = &recorded.metrics[metric];
            // Of these the harness keeps the two texts.
            if !["bleu", "chrf", "chrf++", "ter"].contains(&metric.as_str()) {
                assert_near(score, expected, &format!("{what}, {metric}"));
            }
        }
    }
    let runs = [run];
    let json =
        HarnessResults::new(&runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO).to_json();
    assert_numbers(&json["results"][name], &recorded.results, name);
    assert_eq!(json["versions"][name], recorded.version);
    assert_eq!(json["n-shot"][name], json!(recorded.n_shot));
    assert_eq!(
        json["higher_is_better"][name],
        json!(recorded.higher_is_better)
    );
}

#[test]
fn prompts_hashes_and_numbers_are_those_of_the_harness() {
    let recorded: BTreeMap<String, Recorded> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(recorded.len(), 9);
    for (name, recorded) in &recorded {
        assert_as_recorded(name, recorded);
    }
}

#[test]
fn a_run_becomes_results_that_gates_can_read() {
    let run = Task::read(fixture("sums.yaml"))
        .unwrap()
        .run(&rule())
        .unwrap();
    let results = run.add_to(Results::new("rule"));
    let metric = &results.metrics["sums/exact_match,strict-match"];
    assert_eq!(metric.value, 0.2);
    assert_eq!(metric.scores.as_ref().unwrap().items().len(), 5);
    assert_eq!(metric.task.as_ref().unwrap().data_sha256, run.sha256());
    assert_eq!(metric.better, Better::Higher);

    let pages = Task::read(fixture("pages.yaml"))
        .unwrap()
        .run(&rule())
        .unwrap();
    let results = pages.add_to(Results::new("rule"));
    let metric = &results.metrics["pages/bits_per_byte"];
    assert!(metric.scores.is_none() && metric.interval.is_some());
    assert_eq!(metric.better, Better::Lower);
}

#[test]
fn answers_can_be_graded_in_ways_that_the_file_does_not_know() {
    let run = Task::read(fixture("sums.yaml"))
        .unwrap()
        .run(&rule())
        .unwrap();
    let scores = run.scores(|sample| {
        let written = sample.responses[0][0].as_str().unwrap_or_default();
        let right = crate::same_final_number(written, &sample.references[0]);
        f64::from(u8::from(right))
    });
    assert_eq!(scores.unwrap().mean(), 0.4);
}

#[test]
fn choices_have_a_calibration_and_written_answers_an_exact_match() {
    let run = |name| Task::read(fixture(name)).unwrap().run(&rule()).unwrap();
    let claims = run("claims.yaml");
    let calibration = claims.calibration().unwrap();
    assert_eq!(calibration.items, 6);
    assert_eq!(calibration.accuracy, claims.metric("acc").unwrap().value);
    assert!(calibration.confidence >= 0.5 && claims.exact_match().is_none());
    let trivia = run("trivia.yaml");
    let found = trivia.exact_match().unwrap();
    assert_eq!(
        (found.accuracy().successes(), found.accuracy().total()),
        (1, 4)
    );
    assert!(trivia.calibration().is_err());
}

#[test]
fn the_files_are_those_that_the_harness_writes() {
    let folder = tempfile::tempdir().unwrap();
    let task = Task::read(fixture("claims.yaml")).unwrap().with_limit(2);
    let runs = [task.run(&rule()).unwrap()];
    let begun = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_359_600_250);
    let path = HarnessResults::new(&runs, &rule(), begun, Duration::from_secs(2))
        .write(folder.path())
        .unwrap();
    assert!(
        path.ends_with("rules__of thumb/results_2026-11-22T15-00-00.250000.json"),
        "{path:?}"
    );
    let results: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        results["n-samples"]["claims"],
        json!({"original": 6, "effective": 2})
    );
    assert_eq!(results["configs"]["claims"]["target_delimiter"], " ");
    assert_eq!(results["model_name"], "rules/of thumb");
    let samples = path.with_file_name("samples_claims_2026-11-22T15-00-00.250000.jsonl");
    let samples = fs::read_to_string(samples).unwrap();
    assert_eq!(samples.lines().count(), 2);
    let sample: Value = serde_json::from_str(samples.lines().next().unwrap()).unwrap();
    assert_eq!(sample["arguments"]["gen_args_1"]["arg_1"], " yes");
    assert_eq!(sample["target"], "1");
    assert_eq!(
        sample["metrics"],
        json!(["acc", "f1", "mcc", "brier_score"])
    );
    assert_eq!(
        sample["resps"][0][0][1]
            .as_str()
            .map(|text| text == "True" || text == "False"),
        Some(true)
    );
}

/// A task file of multiple choice with some of its lines replaced, and what is said about it.
#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("science.yaml")).unwrap();
    assert!(text.contains(from));
    for file in ["science.jsonl", "science_train.jsonl"] {
        fs::copy(fixture(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join("task.yaml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let error = match Task::read(&path) {
        Ok(task) => task.run(&rule()).unwrap_err(),
        Err(error) => error,
    };
    assert_says(&error, expected);
}

/// What an error and its causes say.
#[track_caller]
fn assert_says(error: &TaskError, expected: &str) {
    let mut whole = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        whole += &format!(": {source}");
        cause = source.source();
    }
    assert!(whole.contains(expected), "{whole}");
}

#[test]
fn what_needs_python_is_refused_by_key_and_function() {
    refused(
        "doc_to_target: \"{{",
        "process_docs: !function utils.process_docs\ndoc_to_target: \"{{",
        "`process_docs` needs Python (!function utils.process_docs)",
    );
    refused(
        "task: science",
        "task: science\nclass: x",
        "`class` needs Python (a task that is a class)",
    );
    refused(
        "task: science",
        "task: science\nunsafe_code: true",
        "`unsafe_code` needs Python",
    );
    refused(
        "- metric: acc\n",
        "- metric: !function m.f\n",
        "`metric_list.0.metric` needs Python (!function m.f)",
    );
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    refused(
        "doc_to_choice",
        "doc_to_chioce",
        "unknown field `doc_to_chioce`, expected one of `task`",
    );
    refused(
        "output_type: multiple_choice",
        "output_type: choice",
        "unknown variant `choice`",
    );
    refused(
        "- metric: acc\n",
        "- metric: accuracy\n",
        "has the metric `accuracy`",
    );
    refused(
        "    higher_is_better: true",
        "    higher: true",
        "unknown field `higher`",
    );
    refused(
        "task: science",
        "group: [science]",
        "`group` makes this a group of tasks, which is read with `TaskFiles`",
    );
    refused("task: science", "tag: a", "missing field `task`");
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    refused(
        "dataset_path: json",
        "dataset_path: allenai/arc",
        "documents come from local files",
    );
    refused(
        "test_split: test",
        "test_split: exam",
        "`test_split` is \"exam\", but the files have train, test",
    );
    refused(
        "test: science.jsonl",
        "test: none.jsonl",
        "science has no documents: cannot read",
    );
    refused(
        "{{question}}\\nAnswer:\"\ndoc_to_target",
        "{{ask}}\"\ndoc_to_target",
        "document 0: the template",
    );
    refused(
        "{{choices.text}}",
        "{{question}}",
        "document 0: `doc_to_choice` gives",
    );
    refused(
        "choices.label.index(answerKey)",
        "7",
        "document 0: an example has choice 7, but there are 2",
    );
    refused(
        "num_fewshot: 2",
        "num_fewshot: 20",
        "20 examples were asked for, but there are 7",
    );
    refused(
        "metric_list:",
        "filter_list: [{name: x, filter: [{function: lowercase}, {function: take_first}]}]\nmetric_list:",
        "only `take_first` fits",
    );
    refused(
        "doc_to_choice: \"{{choices.text}}\"\n",
        "",
        "`doc_to_choice` is missing",
    );
}
