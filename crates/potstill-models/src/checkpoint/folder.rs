//! What a Hugging Face folder holds beside its weights.

use std::fs;
use std::path::Path;

use potstill_core::SpecialTokens;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

/// The text of a file, if it exists.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, Error> {
    let Some(text) = read(folder, name)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|source| Error::Json {
        path: folder.join(name),
        source,
    })
}

/// The chat template, wherever the folder keeps it.
pub(super) fn chat_template(folder: &Path) -> Result<Option<String>, Error> {
    if let Some(text) = read(folder, "chat_template.jinja")? {
        return Ok(Some(text));
    }
    for name in ["chat_template.json", TOKENIZER_CONFIG] {
        if let Some(json) = read_json::<Value>(folder, name)?
            && let Some(template) = template_of(&json["chat_template"])
        {
            return Ok(Some(template.to_owned()));
        }
    }
    Ok(None)
}

/// One template, or the default of several.
fn template_of(value: &Value) -> Option<&str> {
    let list = match value {
        Value::String(template) => return Some(template),
        Value::Array(list) => list,
        _ => return None,
    };
    let default = list
        .iter()
        .find(|entry| entry["name"] == "default")
        .or(list.first());
    default?["template"].as_str()
}

/// The tokens with a role, from `tokenizer_config.json` or `special_tokens_map.json`.
pub(super) fn special_tokens(folder: &Path) -> Result<SpecialTokens, Error> {
    let read = |name| read_json::<SpecialTokens>(folder, name).map(Option::unwrap_or_default);
    Ok(read(TOKENIZER_CONFIG)?.or(read(SPECIAL_TOKENS_MAP)?))
}
