//! From the files that Hugging Face reads to metadata.

use std::collections::HashMap;

use potstill_core::SpecialTokens;
use serde::Deserialize;
use serde_json::Value;

use super::NO_VOCABULARY;
use super::pre_tokenizer::PreTokenizer;
use super::vocabulary::{MERGES, TOKEN_TYPES, TOKENS, TokenType};
use crate::gguf::MetadataValue;
use crate::gguf::header::Metadata;
use crate::{Companions, Error, ModelConfig};

#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    post_processor: Value,
    model: Bpe,
}

#[derive(Deserialize)]
struct AddedToken {
    id: usize,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Bpe {
    vocab: HashMap<String, usize>,
    merges: Vec<Merge>,
}

/// Old files have `"a b"`, new ones `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair(String, String),
}

/// Tokenizer, chat template and the tokens with a role.
///
/// # Errors
///
/// When the tokenizer is not byte-level BPE by a rule that has a name, or has more tokens than the model.
pub(in crate::gguf) fn metadata(
    companions: &Companions,
    config: &ModelConfig,
) -> Result<Metadata, Error> {
    let mut metadata = Metadata::new();
    let mut put =
        |key: &str, value: MetadataValue| metadata.insert(format!("tokenizer.{key}"), value);
    if let Some(template) = &companions.chat_template {
        put("chat_template", MetadataValue::String(template.clone()));
    }
    let Some(json) = &companions.tokenizer_json else {
        put("ggml.model", MetadataValue::String(NO_VOCABULARY.into()));
        for (role, id) in [
            ("bos", config.bos_token_id),
            ("eos", config.eos_token_ids.first().copied()),
            ("padding", config.pad_token_id),
        ] {
            put_id(&mut put, role, id);
        }
        return Ok(metadata);
    };
    let json: Value = parse("tokenizer.json", json)?;
    let rule = rule(&json)?;
    let file = TokenizerFile::deserialize(json).map_err(|source| Error::Companion {
        file: "tokenizer.json",
        source,
    })?;
    let special = special_tokens(companions)?;
    let around = Around::of(&file.post_processor)?;
    let tokens = Tokens::of(&file, config.vocab_size)?;

    let id_of = |text: &Option<String>| tokens.ids.get(text.as_deref()?).copied();
    let bos = id_of(&around.first)
        .or(config.bos_token_id)
        .or(id_of(&special.bos));
    let ends = &config.eos_token_ids;
    let eos = id_of(&special.eos)
        .filter(|eos| ends.is_empty() || ends.contains(eos))
        .or(ends.first().copied());
    // A chat model may end a text in one way and a turn in another.
    let end_of_turn = ends.iter().copied().find(|&end| Some(end) != eos);
    for (role, id) in [
        ("bos", bos),
        ("eos", eos),
        ("eot", end_of_turn),
        ("padding", config.pad_token_id.or(id_of(&special.pad))),
        ("unknown", id_of(&special.unk)),
    ] {
        put_id(&mut put, role, id);
    }
    let text = |text: &str| MetadataValue::String(text.to_owned());
    put("ggml.model", text("gpt2"));
    put("ggml.pre", text(rule));
    put(
        "ggml.add_bos_token",
        MetadataValue::Bool(around.first.is_some()),
    );
    put(
        "ggml.add_eos_token",
        MetadataValue::Bool(around.last.is_some()),
    );
    metadata.insert(TOKENS.into(), tokens.texts);
    metadata.insert(TOKEN_TYPES.into(), tokens.types);
    let merges = file.model.merges.into_iter().map(|merge| match merge {
        Merge::Text(merge) => merge,
        Merge::Pair(left, right) => format!("{left} {right}"),
    });
    let merges = merges.map(MetadataValue::String).collect();
    metadata.insert(MERGES.into(), MetadataValue::Array(merges));
    Ok(metadata)
}

fn put_id(
    put: &mut impl FnMut(&str, MetadataValue) -> Option<MetadataValue>,
    role: &str,
    id: Option<u32>,
) {
    if let Some(id) = id {
        put(
            &format!("ggml.{role}_token_id"),
            MetadataValue::Unsigned(id.into()),
        );
    }
}

fn parse<T: for<'de> Deserialize<'de>>(file: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|source| Error::Companion { file, source })
}

/// The name of the rule by which `json` cuts text, if it is byte-level BPE by a known one.
fn rule(json: &Value) -> Result<&'static str, Error> {
    let model = &json["model"];
    let kind = model["type"].as_str().unwrap_or("BPE");
    if kind != "BPE" || model["byte_fallback"] == true {
        return Err(Error::NotInGguf {
            what: format!("a tokenizer of kind {kind:?}"),
            expected: "byte-level BPE is written; without a tokenizer.json, the weights alone are",
        });
    }
    PreTokenizer::name_of(json).ok_or_else(|| Error::NotInGguf {
        what: format!(
            "text that is normalized by {} and cut by {}",
            json["normalizer"], json["pre_tokenizer"]
        ),
        expected: "the rules of GPT-2, SmolLM, Llama 3 and Qwen2 have a name there",
    })
}

fn special_tokens(companions: &Companions) -> Result<SpecialTokens, Error> {
    let read = |file, text: &Option<String>| match text {
        Some(text) => parse::<SpecialTokens>(file, text),
        None => Ok(SpecialTokens::default()),
    };
    let config = read("tokenizer_config.json", &companions.tokenizer_config)?;
    let map = read("special_tokens_map.json", &companions.special_tokens_map)?;
    Ok(config.or(map))
}

/// Texts and types of all rows of the embedding table.
struct Tokens {
    texts: MetadataValue,
    types: MetadataValue,
    ids: HashMap<String, u32>,
}

impl Tokens {
    fn of(file: &TokenizerFile, vocab_size: usize) -> Result<Self, Error> {
        let normal = file.model.vocab.iter();
        let normal = normal.map(|(text, &id)| (text, id, TokenType::Normal));
        let added = file.added_tokens.iter().map(|token| {
            let token_type = match token.special {
                true => TokenType::Control,
                false => TokenType::UserDefined,
            };
            (&token.content, token.id, token_type)
        });
        let mut tokens = vec![None; vocab_size];
        let mut ids = HashMap::new();
        // Added tokens come last, because the vocabulary may list them too.
        for (text, id, token_type) in normal.chain(added) {
            let (Some(token), Ok(short_id)) = (tokens.get_mut(id), u32::try_from(id)) else {
                return Err(Error::NotInGguf {
                    what: format!(
                        "token {text:?} with id {id}, for a model of {vocab_size} tokens"
                    ),
                    expected: "every token needs a row of the embeddings",
                });
            };
            *token = Some((text.clone(), token_type));
            ids.insert(text.clone(), short_id);
        }
        let (texts, types) = tokens
            .into_iter()
            .enumerate()
            .map(|(id, token)| token.unwrap_or_else(|| (format!("[PAD{id}]"), TokenType::Unused)))
            .map(|(text, token_type)| {
                let number = MetadataValue::Signed(token_type.number());
                (MetadataValue::String(text), number)
            })
            .unzip();
        Ok(Self {
            texts: MetadataValue::Array(texts),
            types: MetadataValue::Array(types),
            ids,
        })
    }
}

/// The tokens that are put around a text.
#[derive(Default)]
struct Around {
    first: Option<String>,
    last: Option<String>,
}

impl Around {
    fn of(post_processor: &Value) -> Result<Self, Error> {
        let steps = match post_processor["processors"].as_array() {
            Some(steps) => steps.as_slice(),
            None => std::slice::from_ref(post_processor),
        };
        let mut around = Self::default();
        for step in steps {
            let kind = step["type"].as_str();
            around = match (kind, step["single"].as_array()) {
                (Some("ByteLevel") | None, _) => continue,
                (Some("TemplateProcessing"), Some(template)) => Self::of_template(template),
                _ => None,
            }
            .ok_or_else(|| Error::NotInGguf {
                what: format!("a tokenizer with the post-processor {step}"),
                expected: "one token before a text and one after it can be asked for",
            })?;
        }
        Ok(around)
    }

    /// `None` for more than one token on a side.
    fn of_template(template: &[Value]) -> Option<Self> {
        let text = template
            .iter()
            .position(|part| part.get("Sequence").is_some())?;
        let token = |parts: &[Value]| match parts {
            [] => Some(None),
            [part] => Some(Some(part["SpecialToken"]["id"].as_str()?.to_owned())),
            _ => None,
        };
        Some(Self {
            first: token(&template[..text])?,
            last: token(&template[text + 1..])?,
        })
    }
}

#[cfg(test)]
mod tests;
