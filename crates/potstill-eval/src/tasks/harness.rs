//! Results in the files of lm-evaluation-harness.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::group::GroupRun;
use super::keys::FEWSHOT_SEED;
use super::prompt_format::FormatRecord;
use super::python;
use super::task_run::{TaskMetric, TaskRun, TaskSample};
use crate::{Better, Error, TextModel, file, sha256};

/// What a model got on some tasks and groups of tasks, for programs that read the files of lm-evaluation-harness:
/// `results_DATE.json`, and `samples_TASK_DATE.jsonl` for each task. The date is that of UTC.
#[derive(Clone, Debug)]
pub struct HarnessResults<'a> {
    runs: &'a [TaskRun],
    groups: &'a [GroupRun],
    format: FormatRecord,
    begun: Timestamp,
    took: Duration,
    model: Map<String, Value>,
}

impl<'a> HarnessResults<'a> {
    /// `runs` of `model` that were begun at a time and took some.
    ///
    /// # Panics
    ///
    /// Panics if the prompts of two of them had different [formats](crate::PromptFormat), of which the
    /// file names one.
    #[must_use]
    pub fn new(
        runs: &'a [TaskRun],
        model: &dyn TextModel,
        begun: SystemTime,
        took: Duration,
    ) -> Self {
        let format = runs.first().map(|run| &run.format);
        assert!(
            runs.iter().all(|run| Some(&run.format) == format),
            "the prompts of these runs have different formats"
        );
        let tokenizer = model.tokenizer();
        let specials = tokenizer.special_tokens();
        let token = |token: &Option<String>| {
            let id = token.as_deref().and_then(|token| tokenizer.token_id(token));
            json!([token, id.map_or("None".into(), |id| id.to_string())])
        };
        let mut described = Map::new();
        described.insert("tokenizer_pad_token".into(), token(&specials.pad));
        described.insert("tokenizer_eos_token".into(), token(&specials.eos));
        described.insert("tokenizer_bos_token".into(), token(&specials.bos));
        described.insert("eot_token_id".into(), json!(tokenizer.eos_id()));
        described.insert("max_length".into(), json!(model.window()));
        described.insert("model_source".into(), "potstill".into());
        described.insert("model_name".into(), model.name().into());
        described.insert(
            "model_name_sanitized".into(),
            file_name(model.name()).into(),
        );
        Self {
            runs,
            groups: &[],
            format: format.cloned().unwrap_or_default(),
            // Only a clock that is off by thousands of years has no date.
            begun: Timestamp::try_from(begun).unwrap_or(Timestamp::UNIX_EPOCH),
            took,
            model: described,
        }
    }

    /// The same with what the runs come to in groups.
    #[must_use]
    pub fn with_groups(mut self, groups: &'a [GroupRun]) -> Self {
        self.groups = groups;
        self
    }

    /// Writes the files into a folder of the model's name within `folder`, and returns the path of the
    /// results.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let name = self.model["model_name_sanitized"]
            .as_str()
            .unwrap_or_default();
        let folder = folder.as_ref().join(name);
        fs::create_dir_all(&folder).map_err(|source| Error::Write {
            path: folder.clone(),
            source,
        })?;
        let date = self.begun.strftime("%Y-%m-%dT%H-%M-%S%.6f").to_string();
        for run in self.runs {
            let lines: String = run
                .samples
                .iter()
                .map(|sample| format!("{}\n", sample_json(sample, run)))
                .collect();
            let task = file_name(&run.task);
            file::write_text(&folder.join(format!("samples_{task}_{date}.jsonl")), &lines)?;
        }
        let path = folder.join(format!("results_{date}.json"));
        let json = serde_json::to_string_pretty(&self.to_json()).map_err(Error::Serialize)?;
        file::write_text(&path, &json)?;
        Ok(path)
    }

    /// What `results_DATE.json` holds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let by_task = |value: &dyn Fn(&TaskRun) -> Value| -> Map<String, Value> {
            let pairs = self.runs.iter().map(|run| (run.task.clone(), value(run)));
            pairs.collect()
        };
        let by_group = |value: &dyn Fn(&GroupRun) -> Value| -> Map<String, Value> {
            let pairs = self
                .groups
                .iter()
                .map(|run| (run.group.clone(), value(run)));
            pairs.collect()
        };
        let mut results = by_task(&results);
        results.extend(by_group(&GroupRun::to_json));
        let mut versions = by_task(&|run| run.version.clone());
        versions.extend(by_group(&|run| run.version.as_str().into()));
        let is_chat = self.format.chat_template.is_some();
        let turns = is_chat.then_some(self.format.fewshot_as_multiturn);
        let hash = |text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| sha256::of_bytes(text.as_bytes()))
        };
        let mut json = json!({
            "results": results,
            "group_subtasks": by_group(&|run| json!(run.members)),
            "configs": by_task(&|run| Value::Object(run.config.clone())),
            "versions": versions,
            "n-shot": self.shots(by_task(&|run| run.num_fewshot.into())),
            "higher_is_better": self.directions(by_task(&higher_is_better)),
            "n-samples": by_task(&|run| json!({"original": run.available, "effective": run.documents})),
            "config": {
                "model": "potstill",
                "model_args": format!("pretrained={}", self.model["model_name"].as_str().unwrap_or_default()),
                "batch_size": null,
                "batch_sizes": [],
                "device": null,
                "use_cache": null,
                "limit": null,
                "bootstrap_iters": 1000,
                "gen_kwargs": null,
                "random_seed": 0,
                "numpy_seed": FEWSHOT_SEED,
                "torch_seed": FEWSHOT_SEED,
                "fewshot_seed": FEWSHOT_SEED,
            },
            "git_hash": null,
            "date": self.begun.as_microsecond() as f64 / 1e6,
            "pretty_env_info": format!("potstill {}", env!("CARGO_PKG_VERSION")),
            "transformers_version": "N/A",
            "lm_eval_version": "N/A",
            "upper_git_hash": null,
            "task_hashes": by_task(&|run| run.sha256().into()),
            "system_instruction": self.format.system_instruction,
            "system_instruction_sha": hash(&self.format.system_instruction),
            "fewshot_as_multiturn": turns,
            "chat_template": self.format.chat_template,
            "chat_template_sha": hash(&self.format.chat_template),
            "total_evaluation_time_seconds": self.took.as_secs_f64().to_string(),
        });
        if let Value::Object(json) = &mut json {
            json.extend(self.model.clone());
            if self.groups.iter().any(|run| run.averages) {
                let averages = self.groups.iter().filter(|run| run.averages);
                let averages = averages.map(|run| (run.group.clone(), run.to_json()));
                json.insert("groups".into(), Value::Object(averages.collect()));
            }
        }
        json
    }

    /// With the number of every group whose members all have the same. As in lm-evaluation-harness, a
    /// group comes before its members that are groups, so that these do not count.
    fn shots(&self, mut shots: Map<String, Value>) -> Map<String, Value> {
        for group in self.groups {
            let mut known = group.members.iter().filter_map(|member| shots.get(member));
            if let Some(first) = known.next().cloned()
                && known.all(|other| *other == first)
            {
                shots.insert(group.group.clone(), first);
            }
        }
        shots
    }

    /// With those of every group: null for a metric on which its members do not agree. Members that
    /// are groups do not count here, either.
    fn directions(&self, mut directions: Map<String, Value>) -> Map<String, Value> {
        for group in self.groups {
            let mut own = Map::new();
            let members = group.members.iter();
            let known = members.filter_map(|member| directions.get(member)?.as_object());
            for (metric, better) in known.flatten() {
                let agreed = own.entry(metric.as_str()).or_insert_with(|| better.clone());
                if agreed != better {
                    *agreed = Value::Null;
                }
            }
            if !own.is_empty() {
                directions.insert(group.group.clone(), own.into());
            }
        }
        directions
    }
}

fn results(run: &TaskRun) -> Value {
    let mut json = Map::new();
    json.insert("name".into(), run.task.as_str().into());
    json.insert("alias".into(), run.alias.as_str().into());
    json.insert("sample_len".into(), run.documents.into());
    for metric in &run.metrics {
        metric.write(&mut json);
    }
    Value::Object(json)
}

fn higher_is_better(run: &TaskRun) -> Value {
    let pair = |metric: &TaskMetric| {
        (
            metric.name.clone(),
            (metric.better == Better::Higher).into(),
        )
    };
    Value::Object(run.metrics.iter().map(pair).collect())
}

fn sample_json(sample: &TaskSample, run: &TaskRun) -> Value {
    let arguments = sample.requests.iter().enumerate();
    let arguments = arguments.map(|(place, (context, continuation))| {
        let mut arguments = Map::new();
        arguments.insert("arg_0".into(), context.as_str().into());
        if let Some(kwargs) = &run.generation_kwargs {
            arguments.insert("arg_1".into(), kwargs.clone());
        } else if !continuation.is_empty() {
            arguments.insert("arg_1".into(), continuation.as_str().into());
        }
        (format!("gen_args_{place}"), Value::Object(arguments))
    });
    let names: Vec<&str> = sample
        .scores
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut json = json!({
        "doc_id": sample.place,
        "doc": sample.document,
        "target": python::text(&sample.target),
        "arguments": arguments.collect::<Map<_, _>>(),
        "resps": sample.responses,
        "filtered_resps": sample.filtered,
        "filter": sample.filter,
        "metrics": names,
        "doc_hash": sample.document_sha256(),
        "prompt_hash": sample.prompt_sha256(),
        "target_hash": sample.target_sha256(),
    });
    if let Value::Object(json) = &mut json {
        json.extend(sample.scores.iter().cloned());
    }
    json
}

/// A name without what file systems do not like.
fn file_name(name: &str) -> String {
    let mut written = String::new();
    let mut within = false;
    for c in name.chars() {
        let bad = "\"<>:/|\\?*[]".contains(c);
        if !bad {
            written.push(c);
        } else if !within {
            written.push_str("__");
        }
        within = bad;
    }
    written
}
