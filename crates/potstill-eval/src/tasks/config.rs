//! The keys of a task file: which are understood, and what they are where they are not given.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::TaskError;
use super::keys::{GenerationKeys, Keys, OutputType};
use crate::GenerateUntil;

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

/// The keys of a task, if they are data and all known; what is null is as if it were not there.
pub(super) fn checked(config: &mut Map<String, Value>, path: &Path) -> Result<Keys, TaskError> {
    config.retain(|_, value| !value.is_null());
    let runs_answers = config.remove("unsafe_code") == Some(Value::Bool(true));
    let needs_python = NEEDS_PYTHON
        .into_iter()
        .find(|(key, _)| config.contains_key(*key))
        .or(runs_answers.then_some(("unsafe_code", "answers that are run")));
    if let Some((key, what)) = needs_python {
        return Err(TaskError::Python {
            path: path.into(),
            key: key.into(),
            what: what.into(),
        });
    }
    serde_json::from_value(Value::Object(config.clone())).map_err(|source| TaskError::Keys {
        path: path.into(),
        source,
    })
}

/// How answers are written; the text between examples ends them unless something else does.
pub(super) fn generation(
    keys: Option<&GenerationKeys>,
    delimiter: &str,
) -> Result<GenerateUntil, String> {
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
pub(super) fn with_defaults(
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
