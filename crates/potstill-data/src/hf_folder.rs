//! The files beside a tokenizer in a Hugging Face folder.

use std::path::Path;

use potstill_core::SpecialTokens;
use serde::de::DeserializeOwned;

use crate::Error;

/// Reads `tokenizer_config.json` and, for what it lacks, `special_tokens_map.json`. Without these
/// files there is no special token.
pub(crate) fn special_tokens(folder: &Path) -> Result<SpecialTokens, Error> {
    let read = |name| read_json::<SpecialTokens>(&folder.join(name)).map(Option::unwrap_or_default);
    Ok(read("tokenizer_config.json")?.or(read("special_tokens_map.json")?))
}

/// What the JSON in a file says, or `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(text) = read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| Error::Config {
            path: path.into(),
            problem: error.into(),
        })
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
    fn the_special_tokens_map_fills_what_the_config_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let read = || special_tokens(folder.path());
        assert_eq!(read().unwrap(), SpecialTokens::default());
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("tokenizer_config.json", r#"{"eos_token": "</s>"}"#);
        write(
            "special_tokens_map.json",
            r#"{"eos_token": "<end>", "bos_token": "<s>"}"#,
        );
        let tokens = read().unwrap();
        assert_eq!(tokens.eos.as_deref(), Some("</s>"));
        assert_eq!(tokens.bos.as_deref(), Some("<s>"));
        write("tokenizer_config.json", "{");
        let error = read().unwrap_err().to_string();
        assert!(
            error.contains("tokenizer_config.json is not valid"),
            "{error}"
        );
    }
}
