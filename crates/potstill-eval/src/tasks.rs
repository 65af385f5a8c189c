//! Evaluation tasks in files: the part of lm-evaluation-harness' YAML that is data.

mod config;
mod dataset;
mod error;
mod files;
mod filter;
mod group;
mod harness;
mod keys;
mod metric;
mod prompt;
mod prompt_format;
mod python;
mod python_random;
mod run;
mod suite;
mod task_run;
mod template;
mod yaml;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use error::TaskError;
pub use files::TaskFiles;
pub use group::{GroupMetric, GroupRun};
pub use harness::HarnessResults;
pub use prompt_format::PromptFormat;
pub use suite::{SuiteRun, TaskSuite};
pub use task_run::{TaskMetric, TaskRun, TaskSample};

use crate::GenerateUntil;
use dataset::Dataset;
use filter::Pipeline;
use keys::{Keys, OutputType};
use metric::Metric;
use prompt::{Prompts, Sampler};
use template::Document;

/// A task: documents, how they are put to a model, and what its answers are worth.
///
/// It is read from a task file of lm-evaluation-harness, if that is data alone:
///
/// | keys | |
/// |---|---|
/// | `include` | other files, whose keys this one can replace |
/// | `task`, `task_alias`, `tag`, `metadata.version` | what it is called |
/// | `dataset_path`, `dataset_kwargs` | `json`, `csv` or `parquet`, and local `data_files`, relative to the task file |
/// | `test_split`, `validation_split`, `training_split`, `fewshot_split` | which documents are for what |
/// | `doc_to_text`, `doc_to_target`, `doc_to_choice`, `description`, `gen_prefix`, `target_delimiter` | columns or Jinja templates |
/// | `num_fewshot`, `fewshot_config`, `fewshot_delimiter` | examples: the first ones, or those that Python would draw |
/// | `output_type` | `multiple_choice`, `loglikelihood`, `loglikelihood_rolling`, `generate_until` |
/// | `generation_kwargs`, `repeats`, `filter_list`, `metric_list` | answers, what is left of them, what that is worth |
///
/// What needs Python (`!function`, `process_docs`, metrics of one's own), and every key that is not
/// known, is refused by its name. Prompts, requests and numbers are those of lm-evaluation-harness; only
/// the paths of data files are relative to the working directory there. Groups and tags of tasks are
/// found by [`TaskFiles`]; a [`PromptFormat`] makes conversations of prompts.
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
    format: PromptFormat,
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
        let config = yaml::read(path)?;
        if config.contains_key("group") {
            return Err(TaskError::Value {
                path: path.into(),
                key: "group".into(),
                problem: "makes this a group of tasks, which is read with `TaskFiles`".into(),
            });
        }
        Self::of(config, path, path)
    }

    /// The task of `config`, which `path` holds; `data_from` is the file to which data is relative.
    fn of(
        mut config: Map<String, Value>,
        path: &Path,
        data_from: &Path,
    ) -> Result<Self, TaskError> {
        let keys = config::checked(&mut config, path)?;
        config.remove("tag");
        let folder = data_from.parent().unwrap_or(Path::new(""));
        let dataset = Dataset::new(&keys, folder, path)?;
        Self::new(config, keys, &dataset, path)
    }

    fn new(
        config: Map<String, Value>,
        keys: Keys,
        dataset: &Dataset,
        path: &Path,
    ) -> Result<Self, TaskError> {
        let wrong = |key: &str| {
            let (path, key) = (PathBuf::from(path), key.to_owned());
            move |problem: String| TaskError::Value { path, key, problem }
        };
        let output_type = keys.output_type;
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
        let generation =
            config::generation(keys.generation_kwargs.as_ref(), &keys.fewshot_delimiter)
                .map_err(wrong("generation_kwargs"))?;
        let keeps_out = fewshot_split == keys.test_split;
        let config = config::with_defaults(config, &keys, &generation);
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
            format: PromptFormat::default(),
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

    /// The same with its prompts put in another way.
    #[must_use]
    pub fn with_prompt_format(mut self, format: &PromptFormat) -> Self {
        self.format = format.clone();
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

#[cfg(test)]
mod tests;
