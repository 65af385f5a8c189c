//! The header that the Hugging Face hub reads.
//!
//! Its keys are those of <https://huggingface.co/docs/hub/model-cards>, and `teacher_model`, for which the
//! hub has none. What is not known has no key.

use super::{CardSource, ModelCard};

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
        yaml.push_str("---\n");
        yaml
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
