//! Small tasks of every kind, for a model that adds and for one that speaks English.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

/// A task with its documents.
pub(super) struct Written {
    pub(super) name: &'static str,
    keys: &'static str,
    documents: Vec<Value>,
}

impl Written {
    /// Writes the task file and its documents into `folder`. Paths are absolute, which is the same to
    /// both.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let data = folder.join(format!("{}.jsonl", self.name));
        let lines: String = self
            .documents
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(&data, lines)?;
        let text = format!(
            "task: {}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {}\ntest_split: test\n\
             metadata: {{version: 1.0}}\n{}\n",
            self.name,
            data.display(),
            self.keys.trim(),
        );
        fs::write(folder.join(format!("{}.yaml", self.name)), text)?;
        Ok(())
    }
}

const CHOICE: &str = r#"
output_type: multiple_choice
doc_to_text: "<bos>{{a}}+{{b}}="
doc_to_choice: choices
doc_to_target: right
target_delimiter: ""
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: brier_score}]
"#;

const CONTINUED: &str = r#"
output_type: loglikelihood
doc_to_text: "<bos>{{a}}+{{b}}="
doc_to_target: "{{a + b}}"
metric_list: [{metric: perplexity}, {metric: acc}]
"#;

const WRITTEN: &str = r#"
output_type: generate_until
doc_to_text: "<bos>{{a}}+{{b}}="
doc_to_target: "{{a + b}}"
generation_kwargs: {until: ["+"], max_gen_toks: 6}
metric_list: [{metric: exact_match}]
"#;

const ROLLING: &str = r#"
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
"#;

/// One word of many bytes, whose perplexity is more than a number can hold.
const ROLLING_SUMS: &str = r#"
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}, {metric: bits_per_byte}]
"#;

/// For the teacher of the quickstart, whose vocabulary is digits, `+` and `=`.
pub(super) fn of_sums() -> Vec<Written> {
    let summands = |n: u32| ((n * 379 + 41) % 1000, (n * 617 + 305) % 1000);
    let sums: Vec<Value> = (0..60)
        .map(|n| {
            let (a, b) = summands(n);
            let wrong = [a + b + 1, (a + b) * 10 % 997, a + b + 100];
            let mut choices: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            let right = (n % 4) as usize;
            choices.insert(right, (a + b).to_string());
            json!({"a": a, "b": b, "choices": choices, "right": right})
        })
        .collect();
    // Longer than the model's context, so that windows are cut.
    let text = |n: u32| -> String {
        (n..n + 8)
            .map(summands)
            .map(|(a, b)| format!("{a}+{b}={}", a + b))
            .collect()
    };
    let texts = (0..6).map(|n| json!({"text": text(n)})).collect();
    vec![
        written("sums_choice", CHOICE, sums.clone()),
        written("sums_continued", CONTINUED, sums.clone()),
        written("sums_written", WRITTEN, sums),
        written("sums_text", ROLLING_SUMS, texts),
    ]
}

const ENGLISH_CHOICE: &str = r#"
output_type: multiple_choice
description: "Everyday questions.\n\n"
num_fewshot: 2
fewshot_config: {sampler: default}
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_choice: choices
doc_to_target: right
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]
"#;

const ENGLISH_WRITTEN: &str = r#"
output_type: generate_until
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{choices[right]}}"
num_fewshot: 2
fewshot_config: {sampler: first_n}
generation_kwargs: {until: ["\n"], max_gen_toks: 12}
filter_list:
  - name: clean
    filter: [{function: remove_whitespace}, {function: take_first}]
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}, {metric: chrf}, {metric: bleu}]
"#;

/// For any model of English.
pub(super) fn of_english() -> Vec<Written> {
    let question = |question: &str, choices: [&str; 3], right: usize| json!({"question": question, "choices": choices, "right": right});
    let questions = vec![
        question(
            "What is the capital of France?",
            ["Berlin", "Paris", "a large river"],
            1,
        ),
        question("What do cows drink?", ["water", "milk", "sand"], 0),
        question(
            "Which season comes after winter?",
            ["autumn", "summer", "spring"],
            2,
        ),
        question(
            "How many legs does a dog have?",
            ["two", "four", "eight"],
            1,
        ),
        question(
            "What color is the sky on a clear day?",
            ["blue", "green", "black"],
            0,
        ),
        question(
            "What do you use to cut bread?",
            ["a spoon", "a pillow", "a knife"],
            2,
        ),
        question(
            "Which animal can fly?",
            ["a fish", "an eagle", "a horse"],
            1,
        ),
        question("What is ice made of?", ["frozen water", "glass", "salt"], 0),
        question(
            "Where do fish live?",
            ["in trees", "in the desert", "in water"],
            2,
        ),
        question("What is two plus three?", ["four", "five", "six"], 1),
    ];
    let page = "A pot still is filled with wash and heated from below. Alcohol boils before water does, so the \
                vapor that rises is stronger than what stays behind; it is led through a long copper neck into a \
                coil that lies in cold water, and there it becomes a liquid again. What comes first and what \
                comes last is put aside. Only the heart of the run is kept.";
    let texts = vec![
        json!({"text": page}),
        json!({"text": format!("{page}\n\n{page}")}),
        json!({"text": "Naïve café owners in Kraków – 東京 too – say: “Good morning!”"}),
    ];
    vec![
        written("everyday_choice", ENGLISH_CHOICE, questions.clone()),
        written("everyday_written", ENGLISH_WRITTEN, questions),
        written("pot_still", ROLLING, texts),
    ]
}

fn written(name: &'static str, keys: &'static str, documents: Vec<Value>) -> Written {
    Written {
        name,
        keys,
        documents,
    }
}
