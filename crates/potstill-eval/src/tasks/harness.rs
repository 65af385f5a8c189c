//! Results in the files of lm-evaluation-harness.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::keys::FEWSHOT_SEED;
use super::python;
use super::task_run::{TaskMetric, TaskRun, TaskSample};
use crate::{Better, Error, TextModel, file};

/// What a model got on some tasks, for programs that read the files of lm-evaluation-harness:
/// `results_DATE.json`, and `samples_TASK_DATE.jsonl` for each task.
#[derive(Clone, Debug)]
pub struct HarnessResults<'a> {
    runs: &'a [TaskRun],
    begun: Zoned,
    seconds: f64,
    model: Map<String, Value>,
}

impl<'a> HarnessResults<'a> {
    /// `runs` of `model` that were begun at `begun` and took so many `seconds`.
    #[must_use]
    pub fn new(runs: &'a [TaskRun], model: &dyn TextModel, begun: Zoned, seconds: f64) -> Self {
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
            begun,
            seconds,
            model: described,
        }
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
        let by_task = |value: &dyn Fn(&TaskRun) -> Value| -> Value {
            let pairs = self.runs.iter().map(|run| (run.task.clone(), value(run)));
            Value::Object(pairs.collect())
        };
        let mut json = json!({
            "results": by_task(&results),
            "group_subtasks": {},
            "configs": by_task(&|run| Value::Object(run.config.clone())),
            "versions": by_task(&|run| run.version.clone()),
            "n-shot": by_task(&|run| run.num_fewshot.into()),
            "higher_is_better": by_task(&higher_is_better),
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
            "date": self.begun.timestamp().as_microsecond() as f64 / 1e6,
            "pretty_env_info": format!("potstill {}", env!("CARGO_PKG_VERSION")),
            "transformers_version": "N/A",
            "lm_eval_version": "N/A",
            "upper_git_hash": null,
            "task_hashes": by_task(&|run| run.sha256().into()),
            "system_instruction": null,
            "system_instruction_sha": null,
            "fewshot_as_multiturn": false,
            "chat_template": null,
            "chat_template_sha": null,
            "total_evaluation_time_seconds": self.seconds.to_string(),
        });
        if let Value::Object(json) = &mut json {
            json.extend(self.model.clone());
        }
        json
    }
}

fn results(run: &TaskRun) -> Value {
    let mut json = Map::new();
    json.insert("name".into(), run.task.as_str().into());
    json.insert("alias".into(), run.alias.as_str().into());
    json.insert("sample_len".into(), run.documents.into());
    for metric in &run.metrics {
        let TaskMetric { name, filter, .. } = metric;
        json.insert(format!("{name},{filter}"), metric.value.into());
        let error = metric.standard_error;
        json.insert(
            format!("{name}_stderr,{filter}"),
            error.map_or_else(|| "N/A".into(), Value::from),
        );
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
