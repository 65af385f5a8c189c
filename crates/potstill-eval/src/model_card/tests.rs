//! What stands on a card, and what is said where something is missing.

use super::*;
use crate::{
    Better, ItemScore, Metric, ModelReport, ModelRole, NewVersion, Proportion, Provenance,
    Registry, Scores, TaskIdentity,
};

fn results() -> Results {
    let task = TaskIdentity::of_items("sums", "1", &["1 + 1"]).unwrap();
    let score = |n: usize| ItemScore::new(n.to_string(), f64::from(u8::from(n < 90)));
    let scores = Scores::new((0..100).map(score).collect()).unwrap();
    Results::new("adder").with_metric(
        "exact_match",
        Metric::of_scores(Better::Higher, task, scores),
    )
}

#[test]
fn what_is_not_known_is_said_to_be_missing_and_has_no_key() {
    let text = ModelCard::new("adder").to_markdown();
    for missing in [
        "not stated who taught it",
        "not stated how it was made",
        "not stated what it learned from",
        "not stated which weights it began with",
        "license of the model is not stated",
        "not recorded which models made the records",
        "Nothing was measured",
        "Nobody stated what it may be used for",
        "Nobody stated its limits",
        "There is no GGUF file",
    ] {
        assert!(text.contains(missing), "{missing}\n{text}");
    }
    let (header, _) = text[4..].split_once("---\n").unwrap();
    let keys: Vec<&str> = header
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert_eq!(keys, ["tags", "library_name", "pipeline_tag"]);
}

#[test]
fn what_is_known_is_in_the_header_for_the_hub() {
    let card = ModelCard {
        license: Some("MIT OR Apache-2.0".into()),
        languages: vec!["en".into(), "no".into()],
        base: Some(CardSource {
            repository: Some("org/base".into()),
            license: Some("MIT".into()),
            ..CardSource::new("Base \"one\"")
        }),
        teachers: vec![CardSource::new("a \"great\" teacher: really")],
        ..ModelCard::new("adder")
    };
    let text = card.to_markdown();
    for line in [
        "language:\n- \"en\"\n- \"no\"\n",
        "base_model:\n- \"org/base\"\n",
        "base_model_relation: \"finetune\"\n",
        "teacher_model:\n- \"a \\\"great\\\" teacher: really\"\n",
        "license: \"other\"\nlicense_name: \"MIT OR Apache-2.0\"\n",
        "[Base \"one\"](https://huggingface.co/org/base), license: MIT",
        "really, license not stated",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn numbers_come_with_their_intervals() {
    let model = |name: &str, role, right| ModelReport {
        exact_match: Some(Proportion::new(right, 100)),
        ..ModelReport::new(name, role)
    };
    let models = vec![
        model("teacher", ModelRole::Teacher, 96),
        model("student", ModelRole::Student, 90),
    ];
    let mut provenance = Provenance::new("cargo run");
    provenance.seed = Some(7);
    let card = ModelCard {
        results: Some(results()),
        report: Some(Report::new("Sums", "", models, provenance)),
        ..ModelCard::new("adder")
    };
    let text = card.to_markdown();
    let interval = results().metrics["exact_match"].interval.unwrap();
    let interval = format!(
        "| 0.900 | {:.3} to {:.3} | 100 | sums 1 |",
        interval.low, interval.high
    );
    for line in [
        interval.as_str(),
        "| | teacher | student |\n|---|--:|--:|\n",
        "96.0 (90.2 to 98.4)",
        "- command: `cargo run`",
        "- seed: 7",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn the_hub_finds_what_was_measured_on_a_task() {
    let mut results = results();
    let task = results.metrics["exact_match"].task.clone().unwrap();
    let on_task = |value| Metric {
        task: Some(task.clone()),
        ..Metric::of_value(Better::Lower, value)
    };
    let other = TaskIdentity {
        name: "more \"sums\"".into(),
        ..task.clone()
    };
    results = results
        .with_metric("bytes", Metric::of_value(Better::Lower, 3e6))
        .with_metric("broken", on_task(f64::NAN))
        .with_metric("error: rate", on_task(1e-7));
    let mut elsewhere = on_task(2.0);
    elsewhere.task = Some(other);
    results = results.with_metric("loss", elsewhere);
    let data = &task.data_sha256;
    let expected = format!(
        r#"model-index:
- name: "adder"
  results:
  - task:
      type: text-generation
    dataset:
      type: "sums"
      name: "sums"
      args:
        version: "1"
        sha256: "{data}"
    metrics:
    - type: "error: rate"
      name: "error: rate"
      value: 0.0000001
    - type: "exact_match"
      name: "exact_match"
      value: 0.9
  - task:
      type: text-generation
    dataset:
      type: "more \"sums\""
      name: "more \"sums\""
      args:
        version: "1"
        sha256: "{data}"
    metrics:
    - type: "loss"
      name: "loss"
      value: 2
---
"#
    );
    let alone = ModelCard {
        results: Some(results.clone()),
        ..ModelCard::new("adder")
    };
    assert!(alone.to_markdown().contains(&expected), "{alone:?}");
    // A report holds the same of its student.
    let student = ModelReport {
        results: Some(results),
        ..ModelReport::new("student", ModelRole::Student)
    };
    let beside = ModelCard {
        report: Some(Report::new("", "", vec![student], Provenance::new(""))),
        ..ModelCard::new("adder")
    };
    assert!(beside.to_markdown().contains(&expected));
}

#[test]
fn a_model_that_chats_is_talked_to() {
    let card = ModelCard {
        chats: true,
        ..ModelCard::new("adder").with_file("adder.gguf", "all of it", 1000)
    };
    let text = card.to_markdown();
    assert!(
        text.contains("llama-cli -m 'adder.gguf' -st --temp 0 -n 32 -p 'Once upon a time'\n"),
        "{text}"
    );
    assert!(
        !text.contains("no-cnv") && !text.contains("completion -m"),
        "{text}"
    );
}

#[test]
fn a_version_of_a_registry_has_a_card() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("model.gguf"), [0; 1_500_000]).unwrap();
    let registry = Registry::open(folder.path().join("registry")).unwrap();
    let id = registry
        .save(&NewVersion {
            ingredients: vec![
                Ingredient::new(IngredientKind::Teacher, "big", "ab".repeat(32)),
                Ingredient::new(IngredientKind::Data, "books | more", "cd".repeat(32)),
                Ingredient::new(IngredientKind::Recipe, "run.json", "ef".repeat(32)),
            ],
            notes: [("steps".to_owned(), "300".to_owned())].into(),
            ..NewVersion::new("adder", &model, "Apache-2.0")
        })
        .unwrap();
    let manifest = registry.manifest(&id).unwrap();
    let text = ModelCard::of_version(&manifest, Some(results())).to_markdown();
    for line in [
        "# adder/1\n",
        "license: \"apache-2.0\"",
        "- big, license not stated, SHA-256 `abab",
        "- books \\| more, license not stated",
        "- recipe: run.json, SHA-256 efef",
        "- steps: 300",
        "| model.gguf | SHA-256 ",
        " | 1.50 |",
        "llama-completion -m 'model.gguf' -no-cnv",
        "| exact_match ↑ | 0.900 |",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn who_made_the_records_is_said_with_the_terms() {
    let card = ModelCard {
        permissions: Some(PermissionSummary {
            records: 1200,
            by_people: 200,
            by_model: [("vendor/large".to_owned(), 1000)].into(),
            by_terms: [("vendor".to_owned(), 1000)].into(),
            accepted: [("vendor".to_owned(), "our own warehouse".to_owned())].into(),
            unconditional: false,
        }),
        ..ModelCard::new("adder")
    };
    let text = card.to_markdown();
    for line in [
        "1,200 records, of which no model made 200.",
        "- 1,000 made by vendor/large",
        "- 1,000 under the terms vendor",
        "accepted because: our own warehouse",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_prompt_is_quoted_for_each_language() {
    let card = ModelCard {
        prompt: Some("it's \"$5\"\n".into()),
        ..ModelCard::new("adder").with_file("my adder.gguf", "all of it", 1000)
    };
    let text = card.to_markdown();
    assert!(
        text.contains(
            "llama-completion -m 'my adder.gguf' -no-cnv --temp 0 -n 32 -p 'it'\\''s \"$5\"\n'\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(r#"tokenizer("it's \"$5\"\n", return_tensors"#),
        "{text}"
    );
    assert!(
        text.contains(r#"tokenizer.encode("it's \"$5\"\n", true)"#),
        "{text}"
    );
}

#[test]
fn it_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("README.md");
    let card = ModelCard::new("adder").with_file("adder.gguf", "all of it", 1000);
    card.write(&path).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), card.to_markdown());
}
