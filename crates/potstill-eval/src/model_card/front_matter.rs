//! The header that the Hugging Face hub reads.
//!
//! Its keys are those of <https://huggingface.co/docs/hub/model-cards>, and `teacher_model`, for which the
//! hub has none. What is not known has no key.

use super::{CardSource, ModelCard};
use crate::{ModelRole, Results, TaskIdentity};

impl ModelCard {
    pub(super) fn front_matter(&self) -> String {
        let mut yaml = String::from("---\n");
        let mut list = |key: &str, values: &[String]| {
            if !values.is_empty() {
                yaml.push_str(key);
                yaml.push_str(":\n");
            }
            for value in values {
                yaml.push_str(&format!("- {}\n", quoted(value)));
            }
        };
        list("language", &self.languages);
        let own_tags = ["distillation", "potstill"].map(str::to_owned);
        list(
            "tags",
            &[own_tags.as_slice(), self.tags.as_slice()].concat(),
        );
        list("base_model", &repositories(self.base.as_slice()));
        list("datasets", &repositories(&self.data));
        let teachers: Vec<String> = self.teachers.iter().map(|it| it.name.clone()).collect();
        list("teacher_model", &teachers);
        let mut one = |key: &str, value: &str| {
            yaml.push_str(&format!("{key}: {}\n", quoted(value)));
        };
        if self
            .base
            .as_ref()
            .is_some_and(|base| base.repository.is_some())
        {
            // The hub has no word for a distilled model.
            one("base_model_relation", "finetune");
        }
        match &self.license {
            // The hub knows single licenses, by their names in small letters.
            Some(license) if !license.contains(char::is_whitespace) => {
                one("license", &license.to_lowercase());
            }
            Some(license) => {
                one("license", "other");
                one("license_name", license);
            }
            None => {}
        }
        one("library_name", "transformers");
        one("pipeline_tag", "text-generation");
        yaml.push_str(&self.model_index());
        yaml.push_str("---\n");
        yaml
    }

    /// The results that belong to a task, under the key from which the hub makes its table of results: a
    /// number on the model alone, such as its size, has no place there.
    fn model_index(&self) -> String {
        let mut tasks: Vec<(&TaskIdentity, String)> = Vec::new();
        for (name, metric) in self.measured().into_iter().flat_map(|it| &it.metrics) {
            let Some(task) = metric.task.as_ref().filter(|_| metric.value.is_finite()) else {
                continue;
            };
            // `Display` writes no exponents, which readers of YAML take for text.
            let line = format!(
                "    - type: {0}\n      name: {0}\n      value: {1}\n",
                quoted(name),
                metric.value
            );
            match tasks.iter_mut().find(|(known, _)| *known == task) {
                Some((_, lines)) => lines.push_str(&line),
                None => tasks.push((task, line)),
            }
        }
        if tasks.is_empty() {
            return String::new();
        }
        let mut yaml = format!("model-index:\n- name: {}\n  results:\n", quoted(&self.name));
        for (task, metrics) in tasks {
            let (name, version) = (quoted(&task.name), quoted(&task.version));
            let data = quoted(&task.data_sha256);
            yaml.push_str(&format!(
                "  - task:\n      type: text-generation\n    dataset:\n      type: {name}\n      name: {name}\n      \
                 args:\n        version: {version}\n        sha256: {data}\n    metrics:\n{metrics}"
            ));
        }
        yaml
    }

    /// What was measured of the model, alone or as the student of a report.
    fn measured(&self) -> Option<&Results> {
        let student = || self.report.as_ref()?.model(ModelRole::Student);
        let beside = || student()?.results.as_ref();
        self.results.as_ref().or_else(beside)
    }
}

fn repositories(sources: &[CardSource]) -> Vec<String> {
    let named = sources
        .iter()
        .filter_map(|source| source.repository.clone());
    named.collect()
}

/// A string of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
