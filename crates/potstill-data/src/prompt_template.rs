//! Prompts that are templates.

use std::fs;
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A prompt with places for what changes, a [Jinja](https://docs.rs/minijinja) template.
///
/// A variable that it uses and that is not given is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate {
    name: String,
    source: String,
}

/// Why a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The file cannot be read.
    #[error("cannot read the prompt {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The template does not parse, or uses what is not given.
    #[error("the prompt {name:?} cannot be rendered")]
    Render {
        /// Its name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: minijinja::Error,
    },
}

impl PromptTemplate {
    /// A template. White space at its end does not count.
    #[must_use]
    pub fn new(name: impl Into<String>, source: &str) -> Self {
        Self {
            name: name.into(),
            source: source.trim_end().to_owned(),
        }
    }

    /// A template from a file, named as the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PromptError> {
        let path = path.as_ref();
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        match fs::read_to_string(path) {
            Ok(source) => Ok(Self::new(name.unwrap_or_default(), &source)),
            Err(source) => Err(PromptError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the template, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.source)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The prompt for these values, a JSON object.
    ///
    /// # Errors
    ///
    /// When the template does not parse or uses what is not given.
    pub fn render(&self, values: Value) -> Result<String, PromptError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .render_str(&self.source, Serde(values))
            .map_err(|source| PromptError::Render {
                name: self.name.clone(),
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn braces_in_values_are_no_placeholders() {
        let template = PromptTemplate::new("ask", "About {{ text }}?\n");
        let text = "{\n \"question\": \"{{ secret }}\"}";
        assert_eq!(
            template.render(json!({"text": text})).unwrap(),
            format!("About {text}?")
        );
    }

    #[test]
    fn a_variable_that_is_not_given_is_named() {
        let template = PromptTemplate::new("ask", "{{ text }} {{ tone }}");
        let error = template.render(json!({"text": "x"})).unwrap_err();
        assert_eq!(error.to_string(), "the prompt \"ask\" cannot be rendered");
        let cause = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(cause.contains("undefined"), "{cause}");
    }

    #[test]
    fn a_template_that_is_replaced_has_another_hash() {
        assert_ne!(
            PromptTemplate::new("a", "x").sha256(),
            PromptTemplate::new("a", "y").sha256()
        );
        let error = PromptTemplate::read("no/such/prompt.jinja").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the prompt no/such/prompt.jinja"
        );
    }
}
