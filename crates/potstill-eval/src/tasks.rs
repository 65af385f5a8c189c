//! Evaluation tasks in files: the part of lm-evaluation-harness' YAML that is data.

mod dataset;
mod error;
mod filter;
mod harness;
mod keys;
mod metric;
mod prompt;
mod python;
mod python_random;
mod run;
mod task_run;
mod template;
mod yaml;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use error::TaskError;
pub use harness::HarnessResults;
pub use task_run::{TaskMetric, TaskRun, TaskSample};

use crate::GenerateUntil;
use dataset::Dataset;
use filter::Pipeline;
use keys::{GenerationKeys, Keys, OutputType};
use metric::Metric;
use prompt::{Prompts, Sampler};
use template::Document;

/// New tokens of an answer where a task does not say.
const DEFAULT_NEW_TOKENS: usize = 256;

/// Keys that only make sense with code, and what for.
const NEEDS_PYTHON: [(&str, &str); 7] = [
    ("class", "a task that is a class"),
    ("custom_dataset", "a function that makes documents"),
    ("process_docs", "a function that changes documents"),
    ("process_results", "a function that judges answers"),
    ("use_prompt", "a prompt from the package promptsource"),
    ("doc_to_image", "pictures"),
    ("doc_to_audio", "sound"),
];

/// A task: documents, how they are put to a model, and what its answers are worth.
///
/// It is read from a task file of lm-evaluation-harness, if that is data alone:
///
/// | keys | |
/// |---|---|
/// | `include` | other files, whose keys this one can replace |
/// | `task`, `task_alias`, `metadata.version` | what it is called |
/// | `dataset_path`, `dataset_kwargs` | `json`, `csv` or `parquet`, and local `data_files`, relative to the task file |
/// | `test_split`, `validation_split`, `training_split`, `fewshot_split` | which documents are for what |
/// | `doc_to_text`, `doc_to_target`, `doc_to_choice`, `description`, `gen_prefix`, `target_delimiter` | columns or Jinja templates |
/// | `num_fewshot`, `fewshot_config`, `fewshot_delimiter` | examples: the first ones, or those that Python would draw |
/// | `output_type` | `multiple_choice`, `loglikelihood`, `loglikelihood_rolling`, `generate_until` |
/// | `generation_kwargs`, `repeats`, `filter_list`, `metric_list` | answers, what is left of them, what that is worth |
///
/// What needs Python (`!function`, `process_docs`, metrics of one's own), and every key that is not
/// known, is refused by its name. Prompts, requests and numbers are those of lm-evaluation-harness; only
/// the paths of data files are relative to the working directory there.
///
/// ```
/// use potstill_eval::{LocalTextModel, Task};
/// # use potstill_core::SpecialTokens;
/// # use potstill_data::TextTokenizer;
/// # use potstill_testkit::{TableLm, plain_device};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = |name: &str| folder.path().join(name);
/// std::fs::write(path("colors.jsonl"), r#"{"thing": "sky", "color": 1}"#)?;
/// std::fs::write(
///     path("colors.yaml"),
///     "
/// task: colors
/// dataset_path: json
/// dataset_kwargs: {data_files: {test: colors.jsonl}}
/// test_split: test
/// output_type: multiple_choice
/// doc_to_text: 'The {{thing}} is'
/// doc_to_choice: [red, blue]
/// doc_to_target: color
/// ",
/// )?;
/// let task = Task::read(path("colors.yaml"))?;
///
/// # let specials = SpecialTokens { bos: Some("what".into()), ..SpecialTokens::default() };
/// # let tokenizer = TextTokenizer::from_json(
/// #     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
/// #         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
/// #         "decoder": null, "model": {"type": "WordLevel", "unk_token": "what",
/// #         "vocab": {"what": 0, "The": 1, "sky": 2, "is": 3, "red": 4, "blue": 5}}}"#,
/// # )?.with_special_tokens(specials)?;
/// # let model = TableLm::new(6, 2, 1.0, 1, &plain_device());
/// let model = LocalTextModel::new("student", &model, tokenizer)?;
/// let run = task.run(&model)?;
/// assert_eq!(run.metrics[0].name, "acc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Task {
    name: String,
    alias: String,
    version: Value,
    /// What the file says, with what it leaves to defaults.
    config: Map<String, Value>,
    output_type: OutputType,
    documents: Vec<Document>,
    /// Documents before a limit.
    available: usize,
    prompts: Prompts,
    target_delimiter: String,
    num_fewshot: usize,
    generation: GenerateUntil,
    /// The same as lm-evaluation-harness passes it on.
    generation_kwargs: Value,
    repeats: usize,
    pipelines: Vec<Pipeline>,
    metrics: Vec<Metric>,
}

impl Task {
    /// Reads a task file, what it includes, and its documents.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, needs Python, has a key or a value that is not known, or has no
    /// documents.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TaskError> {
        let path = path.as_ref();
        let mut config = yaml::read(path)?;
        if let Some((key, what)) = NEEDS_PYTHON
            .into_iter()
            .find(|(key, _)| config.get(*key).is_some_and(|value| !value.is_null()))
        {
            return Err(TaskError::Python {
                path: path.into(),
                key: key.into(),
                what: what.into(),
            });
        }
        if config.remove("unsafe_code") == Some(Value::Bool(true)) {
            return Err(TaskError::Python {
                path: path.into(),
                key: "unsafe_code".into(),
                what: "answers that are run".into(),
            });
        }
        config.retain(|_, value| !value.is_null());
        let keys =
            serde_json::from_value::<Keys>(Value::Object(config.clone())).map_err(|source| {
                TaskError::Keys {
                    path: path.into(),
                    source,
                }
            })?;
        Self::new(config, keys, path)
    }

    fn new(config: Map<String, Value>, keys: Keys, path: &Path) -> Result<Self, TaskError> {
        let wrong = |key: &str| {
            let (path, key) = (PathBuf::from(path), key.to_owned());
            move |problem: String| TaskError::Value { path, key, problem }
        };
        let output_type = keys.output_type;
        let dataset = Dataset::new(&keys, path)?;
        let read = |key: &str, split: &Option<String>| {
            let split = split.as_ref();
            split
                .map(|split| dataset.read(&keys.task, path, key, split))
                .transpose()
        };
        let documents = match read("test_split", &keys.test_split)? {
            Some(documents) => documents,
            None => read("validation_split", &keys.validation_split)?.ok_or_else(|| {
                wrong("test_split")("is missing, as is `validation_split`".into())
            })?,
        };
        let num_fewshot = keys.num_fewshot.unwrap_or(0);
        let fewshot_split = keys
            .fewshot_config
            .split
            .clone()
            .or(keys.fewshot_split.clone());
        let examples = if num_fewshot == 0 {
            Vec::new()
        } else if let Some(documents) = read("fewshot_split", &fewshot_split)? {
            documents
        } else if let Some(samples) = keys.fewshot_config.samples.clone() {
            samples
        } else if let Some(documents) = read("training_split", &keys.training_split)? {
            documents
        } else if let Some(documents) = read("validation_split", &keys.validation_split)? {
            documents
        } else {
            documents.clone()
        };
        let examples = chosen(examples, keys.fewshot_config.fewshot_indices.as_deref())
            .map_err(wrong("fewshot_config.fewshot_indices"))?;
        let sampler = match keys.fewshot_config.sampler.as_deref() {
            None | Some("default") => Sampler::Default,
            Some("first_n") => Sampler::FirstN,
            Some(other) => {
                return Err(wrong("fewshot_config.sampler")(format!(
                    "is {other:?}; known are \"default\" and \"first_n\""
                )));
            }
        };
        let metrics = match keys.metric_list.clone() {
            Some(metrics) => metrics
                .into_iter()
                .map(|metric| Metric::new(metric, output_type))
                .collect::<Result<Vec<_>, _>>(),
            None => metric::default_names(output_type)
                .iter()
                .map(|name| Metric::default_of(name, output_type))
                .collect(),
        };
        let pipelines = match keys.filter_list.clone() {
            Some(pipelines) => pipelines.into_iter().map(Pipeline::new).collect(),
            None => Ok(vec![Pipeline::none()]),
        };
        let pipelines: Vec<Pipeline> = pipelines.map_err(wrong("filter_list"))?;
        if output_type != OutputType::GenerateUntil && !pipelines.iter().all(Pipeline::only_selects)
        {
            return Err(wrong("filter_list")(
                "changes texts, but this output type has none; only `take_first` fits".into(),
            ));
        }
        if keys.repeats == 0 {
            return Err(wrong("repeats")("is 0, it must be at least 1".into()));
        }
        if output_type == OutputType::MultipleChoice && keys.doc_to_choice.is_none() {
            return Err(wrong("doc_to_choice")("is missing".into()));
        }
        let generation = generation(keys.generation_kwargs.as_ref(), &keys.fewshot_delimiter)
            .map_err(wrong("generation_kwargs"))?;
        let keeps_out = fewshot_split == keys.test_split;
        let config = with_defaults(config, &keys, &generation);
        let version = keys
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get("version"));
        Ok(Self {
            alias: keys.task_alias.clone().unwrap_or(keys.task.clone()),
            version: version.cloned().unwrap_or_else(|| json!("Yaml")),
            output_type,
            available: documents.len(),
            documents,
            prompts: Prompts::new(&keys, sampler, examples, keeps_out),
            target_delimiter: keys.target_delimiter,
            num_fewshot,
            generation_kwargs: config.get("generation_kwargs").cloned().unwrap_or_default(),
            generation,
            repeats: keys.repeats,
            pipelines,
            metrics: metrics.map_err(wrong("metric_list"))?,
            config,
            name: keys.task,
        })
    }

    /// The same task on its first `documents` alone.
    ///
    /// # Panics
    ///
    /// Panics if that is none.
    #[must_use]
    pub fn with_limit(mut self, documents: usize) -> Self {
        assert!(documents > 0, "a task needs at least one document");
        self.documents.truncate(documents);
        self
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether it has no documents; one that was read has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

fn chosen(examples: Vec<Document>, places: Option<&[usize]>) -> Result<Vec<Document>, String> {
    let Some(places) = places.filter(|places| !places.is_empty() && !examples.is_empty()) else {
        return Ok(examples);
    };
    let example = |&place: &usize| {
        let example = examples.get(place).cloned();
        example.ok_or_else(|| format!("names {place}, but there are {} documents", examples.len()))
    };
    places.iter().map(example).collect()
}

fn generation(keys: Option<&GenerationKeys>, delimiter: &str) -> Result<GenerateUntil, String> {
    let until = keys.and_then(|keys| keys.until.clone()).map(Vec::from);
    let until = until.unwrap_or_else(|| vec![delimiter.to_owned()]);
    if until.iter().any(String::is_empty) {
        return Err("has an empty text in `until`, which would end every answer at once".into());
    }
    let mut sampling = potstill_core::Sampling::greedy();
    if let Some(keys) = keys {
        // As with lm-evaluation-harness, `do_sample: false` wins over a temperature.
        if keys.do_sample != Some(false) {
            sampling.temperature = keys.temperature.unwrap_or(0.0);
        }
        sampling.top_p = keys.top_p;
        sampling.top_k = keys.top_k.filter(|&k| k > 0);
    }
    sampling
        .validate()
        .map_err(|error| format!("cannot be: {error}"))?;
    let most = keys.and_then(|keys| keys.max_gen_toks);
    Ok(GenerateUntil {
        until,
        max_new_tokens: most.unwrap_or(DEFAULT_NEW_TOKENS),
        sampling,
        seed: 0,
    })
}

/// What lm-evaluation-harness writes down of a task's configuration.
fn with_defaults(
    mut config: Map<String, Value>,
    keys: &Keys,
    generation: &GenerateUntil,
) -> Map<String, Value> {
    let mut default = |key: &str, value: Value| {
        config.entry(key).or_insert(value);
    };
    default("unsafe_code", false.into());
    default("description", "".into());
    default("target_delimiter", keys.target_delimiter.as_str().into());
    default("fewshot_delimiter", keys.fewshot_delimiter.as_str().into());
    default("num_fewshot", 0.into());
    default("output_type", "generate_until".into());
    default("repeats", 1.into());
    default("should_decontaminate", false.into());
    if keys.output_type == OutputType::GenerateUntil {
        default(
            "generation_kwargs",
            json!({
                "temperature": generation.sampling.temperature,
                "do_sample": false,
                "max_gen_toks": generation.max_new_tokens,
            }),
        );
        if let Some(Value::Object(kwargs)) = config.get_mut("generation_kwargs") {
            kwargs
                .entry("until")
                .or_insert_with(|| json!(generation.until));
        }
    }
    config
}

#[cfg(test)]
mod tests;
