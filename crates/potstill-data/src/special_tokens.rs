//! The tokens with a role: beginning, end, padding, unknown.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::Error;
use crate::error::ConfigProblem;

/// The tokens with a role, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends a text.
    pub eos: Option<String>,
    /// Fills up a row.
    pub pad: Option<String>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<String>,
}

impl SpecialTokens {
    /// Reads a `tokenizer_config.json` or `special_tokens_map.json`, where a token is a string or an
    /// object with its `content`.
    ///
    /// # Errors
    ///
    /// When the text is not a JSON object, or a token is neither.
    pub fn from_config_json(text: &str) -> Result<Self, ConfigProblem> {
        Self::from_keys(&serde_json::from_str(text)?)
    }

    /// Reads `tokenizer_config.json` and, for what it lacks, `special_tokens_map.json` from a
    /// Hugging Face folder. Without these files every token is `None`.
    ///
    /// # Errors
    ///
    /// When a file is there but cannot be read.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let mut tokens = Self::default();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = folder.as_ref().join(name);
            if let Some(keys) = read_object(&path)? {
                let found =
                    Self::from_keys(&keys).map_err(|problem| Error::Config { path, problem })?;
                tokens.bos = tokens.bos.or(found.bos);
                tokens.eos = tokens.eos.or(found.eos);
                tokens.pad = tokens.pad.or(found.pad);
                tokens.unk = tokens.unk.or(found.unk);
            }
        }
        Ok(tokens)
    }

    fn from_keys(keys: &Map<String, Value>) -> Result<Self, ConfigProblem> {
        let token = |key: &'static str| match keys.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(token)) => Ok(Some(token.clone())),
            Some(other) => match other.get("content").and_then(Value::as_str) {
                Some(token) => Ok(Some(token.to_owned())),
                None => Err(ConfigProblem::Key {
                    key,
                    expected: "a string or an object with a string \"content\"",
                }),
            },
        };
        Ok(Self {
            bos: token("bos_token")?,
            eos: token("eos_token")?,
            pad: token("pad_token")?,
            unk: token("unk_token")?,
        })
    }

    pub(crate) fn roles_mut(&mut self) -> [(&'static str, &mut Option<String>); 4] {
        [
            ("bos", &mut self.bos),
            ("eos", &mut self.eos),
            ("pad", &mut self.pad),
            ("unk", &mut self.unk),
        ]
    }

    /// The names that chat templates use, and the tokens that are there.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("pad_token", &self.pad),
            ("unk_token", &self.unk),
        ]
        .into_iter()
        .filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }
}

/// The JSON object in a file, or `None` when there is no such file.
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    let Some(text) = read_optional(path)? else {
        return Ok(None);
    };
    let config = |problem| Error::Config {
        path: PathBuf::from(path),
        problem,
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| config(error.into()))
}

/// The text in a file, or `None` when there is no such file.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_string_or_an_object() {
        let tokens = SpecialTokens::from_config_json(
            r#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null}"#,
        )
        .unwrap();
        assert_eq!(
            tokens.named().collect::<Vec<_>>(),
            [("bos_token", "<s>"), ("eos_token", "</s>")]
        );
        let error = SpecialTokens::from_config_json(r#"{"bos_token": 3}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("\"bos_token\" must be a string"),
            "{error}"
        );
    }

    #[test]
    fn the_special_tokens_map_fills_what_the_config_lacks() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            SpecialTokens::from_folder(&folder).unwrap(),
            SpecialTokens::default()
        );
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tokenizer_config.json", r#"{"eos_token": "</s>"}"#);
        write(
            "special_tokens_map.json",
            r#"{"eos_token": "<end>", "bos_token": "<s>"}"#,
        );
        let tokens = SpecialTokens::from_folder(&folder).unwrap();
        assert_eq!(tokens.eos.as_deref(), Some("</s>"));
        assert_eq!(tokens.bos.as_deref(), Some("<s>"));
        write("tokenizer_config.json", "{");
        let error = SpecialTokens::from_folder(&folder).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("tokenizer_config.json is not valid"),
            "{error}"
        );
    }
}
