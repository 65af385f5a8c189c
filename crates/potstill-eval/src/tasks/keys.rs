//! The keys of a task file.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Seed of the few-shot examples, unless another is given: that of lm-evaluation-harness.
pub(super) const FEWSHOT_SEED: u32 = 1234;

/// What a task asks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputType {
    Loglikelihood,
    LoglikelihoodRolling,
    GenerateUntil,
    MultipleChoice,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) task: String,
    pub(super) task_alias: Option<String>,
    #[serde(rename = "tag")]
    _tag: Option<OneOrMany>,
    pub(super) dataset_path: Option<String>,
    pub(super) dataset_name: Option<String>,
    pub(super) dataset_kwargs: Option<DatasetKeys>,
    pub(super) training_split: Option<String>,
    pub(super) validation_split: Option<String>,
    pub(super) test_split: Option<String>,
    pub(super) fewshot_split: Option<String>,
    pub(super) doc_to_text: Option<Value>,
    pub(super) doc_to_target: Option<Value>,
    pub(super) doc_to_choice: Option<Value>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default = "space")]
    pub(super) target_delimiter: String,
    #[serde(default = "blank_line")]
    pub(super) fewshot_delimiter: String,
    #[serde(default)]
    pub(super) fewshot_config: FewshotKeys,
    pub(super) num_fewshot: Option<usize>,
    pub(super) metric_list: Option<Vec<MetricKeys>>,
    #[serde(default = "generate_until")]
    pub(super) output_type: OutputType,
    pub(super) generation_kwargs: Option<GenerationKeys>,
    #[serde(default = "one")]
    pub(super) repeats: usize,
    pub(super) filter_list: Option<Vec<PipelineKeys>>,
    #[serde(rename = "should_decontaminate")]
    _should_decontaminate: Option<bool>,
    #[serde(rename = "doc_to_decontamination_query")]
    _doc_to_decontamination_query: Option<Value>,
    pub(super) gen_prefix: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
}

fn space() -> String {
    " ".into()
}

fn blank_line() -> String {
    "\n\n".into()
}

fn generate_until() -> OutputType {
    OutputType::GenerateUntil
}

fn one() -> usize {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetKeys {
    pub(super) data_files: Option<DataFiles>,
    pub(super) data_dir: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`data_files` must be a path, a list of paths, or one of those for each split"
)]
pub(super) enum DataFiles {
    Files(OneOrMany),
    Splits(Map<String, Value>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(values: OneOrMany) -> Self {
        match values {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        }
    }
}

/// What is not given is that of the task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FewshotKeys {
    pub(super) sampler: Option<String>,
    pub(super) split: Option<String>,
    pub(super) fewshot_indices: Option<Vec<usize>>,
    pub(super) samples: Option<Vec<Map<String, Value>>>,
    pub(super) doc_to_text: Option<Value>,
    pub(super) doc_to_choice: Option<Value>,
    pub(super) doc_to_target: Option<Value>,
    pub(super) gen_prefix: Option<String>,
    pub(super) fewshot_delimiter: Option<String>,
    pub(super) target_delimiter: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricKeys {
    pub(super) metric: String,
    pub(super) aggregation: Option<String>,
    pub(super) higher_is_better: Option<bool>,
    pub(super) ignore_case: Option<bool>,
    pub(super) ignore_punctuation: Option<bool>,
    pub(super) ignore_numbers: Option<bool>,
    pub(super) regexes_to_ignore: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineKeys {
    pub(super) name: String,
    pub(super) filter: Vec<FilterKeys>,
}

/// A filter by its `function`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FilterKeys {
    Regex {
        regex_pattern: Option<String>,
        #[serde(default)]
        group_select: i64,
        fallback: Option<String>,
    },
    TakeFirst {},
    TakeFirstK {
        k: usize,
    },
    MajorityVote {},
    RemoveWhitespace {},
    Lowercase {},
    Uppercase {},
    Map {
        mapping_dict: Map<String, Value>,
        default_value: Option<String>,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GenerationKeys {
    pub(super) until: Option<OneOrMany>,
    pub(super) do_sample: Option<bool>,
    /// PyYAML reads `1e-1` as a text.
    #[serde(default, deserialize_with = "number")]
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<usize>,
    #[serde(alias = "max_new_tokens", alias = "max_tokens")]
    pub(super) max_gen_toks: Option<usize>,
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        other => other
            .as_f64()
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("`temperature` must be a number")),
    }
}

/// The keys of a group, without those that it gives to its tasks.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct GroupKeys {
    pub(super) group_alias: Option<String>,
    #[serde(default)]
    pub(super) task: Vec<Value>,
    #[serde(default)]
    pub(super) aggregate_metric_list: Vec<AggregateKeys>,
    pub(super) metadata: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateKeys {
    pub(super) metric: String,
    pub(super) filter_list: Option<OneOrMany>,
    pub(super) aggregation: Option<String>,
    #[serde(default = "yes")]
    pub(super) weight_by_size: bool,
}

fn yes() -> bool {
    true
}

impl GroupKeys {
    /// Takes the group's own keys out of `config`.
    pub(super) fn take(config: &mut Map<String, Value>) -> Result<Self, serde_json::Error> {
        config.remove("group");
        let keys = ["group_alias", "task", "aggregate_metric_list", "metadata"];
        let own = keys.into_iter().filter_map(|key| {
            let value = config.remove(key).filter(|value| !value.is_null())?;
            // One member, or one metric, may stand by itself.
            let is_list = ["task", "aggregate_metric_list"].contains(&key);
            let value = match is_list && !value.is_array() {
                true => vec![value].into(),
                false => value,
            };
            Some((key.to_owned(), value))
        });
        serde_json::from_value(Value::Object(own.collect()))
    }
}
