//! What a Hugging Face folder holds beside its weights.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Error, SpecialToken, SpecialTokens};

/// The text of a file, if it exists.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

fn read_json(folder: &Path, name: &str) -> Result<Option<Value>, Error> {
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
    for name in ["chat_template.json", "tokenizer_config.json"] {
        if let Some(json) = read_json(folder, name)?
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
    let config = read_json(folder, "tokenizer_config.json")?.unwrap_or_default();
    let map = read_json(folder, "special_tokens_map.json")?.unwrap_or_default();
    let tokenizer = read_json(folder, "tokenizer.json")?.unwrap_or_default();
    let token = |role: &str| {
        let text = text_of(&config[role]).or_else(|| text_of(&map[role]))?;
        let id = id_of(text, &config, &tokenizer);
        Some(SpecialToken {
            id,
            text: text.to_owned(),
        })
    };
    Ok(SpecialTokens {
        bos: token("bos_token"),
        eos: token("eos_token"),
        pad: token("pad_token"),
        unk: token("unk_token"),
    })
}

/// A token is a string, or an object with its string in `content`.
fn text_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

fn id_of(text: &str, config: &Value, tokenizer: &Value) -> Option<u32> {
    let decoder = config["added_tokens_decoder"].as_object();
    let declared = decoder.and_then(|decoder| {
        let (id, _) = decoder
            .iter()
            .find(|(_, token)| text_of(token) == Some(text))?;
        id.parse().ok()
    });
    let added = || {
        let tokens = tokenizer["added_tokens"].as_array()?;
        let token = tokens.iter().find(|token| text_of(token) == Some(text))?;
        u32::try_from(token["id"].as_u64()?).ok()
    };
    let known = || u32::try_from(tokenizer["model"]["vocab"][text].as_u64()?).ok();
    declared.or_else(added).or_else(known)
}
