//! Small tasks of every kind, and groups of them, for a model that adds and for one that speaks English.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

/// Tasks that are run together.
pub(super) struct Selection {
    tasks: Vec<Task>,
    /// Names and files of groups.
    groups: Vec<(&'static str, &'static str)>,
    /// What is asked for.
    pub(super) names: Vec<&'static str>,
    /// Longest window.
    pub(super) window: usize,
    /// The system's instruction, where prompts are conversations.
    pub(super) instruction: Option<&'static str>,
}

impl Selection {
    /// Writes the files into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        for task in &self.tasks {
            task.write(folder)?;
        }
        for (name, text) in &self.groups {
            fs::write(folder.join(format!("{name}.yaml")), text)?;
        }
        Ok(())
    }
}

/// A task with its documents.
struct Task {
    name: &'static str,
    keys: &'static str,
    documents: Vec<Value>,
}

impl Task {
    /// Writes the task file and its documents into `folder`. Paths are absolute, which is the same to
    /// both.
    fn write(&self, folder: &Path) -> Result<()> {
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

/// Shorter than texts are.
const CUTTING_WINDOW: usize = 126;

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

/// With a group of its own, weights of both kinds, and tasks that lack a metric.
const SUMS: &str = r#"
group: sums
task:
  - sums_choice
  - group: open
    group_alias: Without choices
    task: [sums_continued, sums_written]
    aggregate_metric_list: [{metric: acc}, {metric: exact_match}]
  - sums_text
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
  - {metric: exact_match}
  - {metric: bits_per_byte, weight_by_size: false}
metadata: {version: 2}
"#;

/// For the teacher of the quickstart, whose vocabulary is digits, `+` and `=`. Texts do not fit the
/// window, so that they are cut.
pub(super) fn of_sums() -> Selection {
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
    let fewer = sums[20..].to_vec();
    Selection {
        tasks: vec![
            task("sums_choice", CHOICE, sums.clone()),
            task("sums_continued", CONTINUED, fewer),
            task("sums_written", WRITTEN, sums),
            task("sums_text", ROLLING_SUMS, texts),
        ],
        groups: vec![("sums", SUMS)],
        names: vec!["sums"],
        window: CUTTING_WINDOW,
        instruction: None,
    }
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
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}, {metric: chrf}, {metric: bleu}, {metric: ter}]
"#;

/// The model has begun to answer.
const ENGLISH_BEGUN: &str = r#"
output_type: multiple_choice
num_fewshot: 1
fewshot_config: {sampler: first_n}
doc_to_text: "{{question}}"
gen_prefix: "It is"
doc_to_choice: choices
doc_to_target: right
"#;

const EVERYDAY: &str = r#"
group: everyday
task: [everyday_choice, everyday_begun, everyday_written]
aggregate_metric_list:
  - {metric: acc, weight_by_size: false}
  - {metric: acc_norm}
"#;

/// For any model of English. Texts do not fit the window, so that they are cut.
pub(super) fn of_english() -> Selection {
    let page = "A pot still is filled with wash and heated from below. Alcohol boils before water does, so the \
                vapor that rises is stronger than what stays behind; it is led through a long copper neck into a \
                coil that lies in cold water, and there it becomes a liquid again. What comes first and what \
                comes last is put aside. Only the heart of the run is kept.";
    let texts = vec![
        json!({"text": page}),
        json!({"text": format!("{page}\n\n{page}")}),
        json!({"text": "Naïve café owners in Kraków – 東京 too – say: “Good morning!”"}),
    ];
    Selection {
        tasks: vec![
            task("everyday_choice", ENGLISH_CHOICE, questions()),
            task("everyday_written", ENGLISH_WRITTEN, questions()),
            task("pot_still", ROLLING, texts),
        ],
        groups: Vec::new(),
        names: vec!["everyday_choice", "everyday_written", "pot_still"],
        window: CUTTING_WINDOW,
        instruction: None,
    }
}

/// For any model that was trained on conversations. Prompts fit the window.
pub(super) fn of_conversations() -> Selection {
    Selection {
        tasks: vec![
            task("everyday_choice", ENGLISH_CHOICE, questions()),
            task("everyday_begun", ENGLISH_BEGUN, questions()),
            task("everyday_written", ENGLISH_WRITTEN, questions()),
        ],
        groups: vec![("everyday", EVERYDAY)],
        names: vec!["everyday"],
        window: 510,
        instruction: Some("Answer in as few words as you can."),
    }
}

fn questions() -> Vec<Value> {
    let question = |question: &str, choices: [&str; 3], right: usize| json!({"question": question, "choices": choices, "right": right});
    vec![
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
    ]
}

fn task(name: &'static str, keys: &'static str, documents: Vec<Value>) -> Task {
    Task {
        name,
        keys,
        documents,
    }
}
