//! A tokenizer of fewer tokens.

use std::collections::BTreeSet;

use potstill_core::KeptTokens;
use serde_json::{Map, Value};

use super::TextTokenizer;
use super::merges::Merges;
use super::token_bytes::fallback_byte;
use crate::Error;

impl TextTokenizer {
    /// What a smaller vocabulary has to keep beside the tokens that a domain uses.
    ///
    /// Besides `used`, these are all added tokens (so chat templates keep working), the token for the
    /// unknown, single characters or the bytes of the byte fallback (so that any other text can
    /// still be written), and, for BPE, the tokens that occur on the way to a kept one.
    ///
    /// With these, [`restricted_to`](Self::restricted_to) gives a tokenizer that turns every text of
    /// which this one makes only `used` tokens into the same tokens. For BPE, because the merges
    /// inside a token do not depend on what stands around it: all that such a text needs are there,
    /// in the old order, and what was taken away never applied.
    ///
    /// # Errors
    ///
    /// When an id has no token, or the definition is of a kind whose tokens cannot be derived (BPE
    /// with affixes that mark parts of words).
    pub fn tokens_to_keep(&self, used: impl IntoIterator<Item = u32>) -> Result<KeptTokens, Error> {
        let definition = Definition::of(self)?;
        let mut kept: BTreeSet<u32> = used.into_iter().collect();
        for &id in &kept {
            self.known(id)?;
        }
        kept.extend(definition.added_ids());
        kept.extend(definition.template_ids());
        kept.extend(definition.unknown_id());
        kept.extend(definition.alphabet());
        if let Some(merges) = definition.merges()? {
            let tokens: Vec<u32> = kept.iter().copied().collect();
            for token in tokens.into_iter().filter_map(|id| self.id_to_token(id)) {
                kept.extend(merges.on_the_way_to(&token));
            }
        }
        Ok(KeptTokens::new(kept))
    }

    /// This tokenizer with the kept tokens only, under their new ids.
    ///
    /// Merges whose parts or product are gone are dropped; special and added tokens and the ids in
    /// the post-processor are renumbered. Keep at least [`tokens_to_keep`](Self::tokens_to_keep):
    /// with fewer, some text has no tokens any more.
    ///
    /// # Errors
    ///
    /// When an id has no token, a token is missing that the definition puts around a text or stands
    /// for the unknown, or the definition cannot be renumbered.
    pub fn restricted_to(&self, kept: &KeptTokens) -> Result<Self, Error> {
        for &id in kept.old_ids() {
            self.known(id)?;
        }
        let mut definition = Definition::of(self)?;
        definition.restrict(kept)?;
        let restricted = Self::from_json(&definition.json.to_string())?;
        for (new_id, &old_id) in (0..).zip(kept.old_ids()) {
            let (found, expected) = (restricted.id_to_token(new_id), self.id_to_token(old_id));
            if found != expected {
                return Err(Error::TokenMoved {
                    new_id,
                    found,
                    expected,
                });
            }
        }
        Ok(restricted.with_declared_special_tokens(self.specials.clone()))
    }

    fn known(&self, id: u32) -> Result<(), Error> {
        match self.id_to_token(id) {
            Some(_) => Ok(()),
            None => Err(Error::NoSuchToken {
                id,
                size: self.vocab_size(),
            }),
        }
    }
}

/// The JSON of a definition.
struct Definition {
    json: Value,
}

impl Definition {
    fn of(tokenizer: &TextTokenizer) -> Result<Self, Error> {
        let json = serde_json::from_str(&tokenizer.to_json()?).map_err(|source| {
            Error::TokenizerDefinition {
                origin: "the tokenizer".into(),
                source: source.into(),
            }
        })?;
        Ok(Self { json })
    }

    fn model(&self) -> &Value {
        &self.json["model"]
    }

    /// The model's own tokens and their ids.
    fn vocabulary(&self) -> Vec<(&str, u32)> {
        match &self.model()["vocab"] {
            Value::Object(ids) => ids
                .iter()
                .filter_map(|(token, id)| Some((token.as_str(), token_id(id)?)))
                .collect(),
            Value::Array(scored) => (0..)
                .zip(scored)
                .filter_map(|(id, entry)| Some((entry[0].as_str()?, id)))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn added_ids(&self) -> Vec<u32> {
        let added = self.json["added_tokens"].as_array();
        added
            .into_iter()
            .flatten()
            .filter_map(|token| token_id(&token["id"]))
            .collect()
    }

    /// The ids that the post-processor puts around a text.
    fn template_ids(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut post_processor = self.json["post_processor"].clone();
        visit_template_ids(&mut post_processor, &mut |id| {
            ids.push(id);
            Ok(id)
        })
        .unwrap_or_default();
        ids
    }

    fn unknown_id(&self) -> Option<u32> {
        let model = self.model();
        match model["unk_token"].as_str() {
            Some(token) => self
                .vocabulary()
                .into_iter()
                .find(|(known, _)| *known == token)
                .map(|(_, id)| id),
            None => token_id(&model["unk_id"]),
        }
    }

    /// The tokens that any text can be written with.
    fn alphabet(&self) -> Vec<u32> {
        let model = self.model();
        if model["type"] == "WordLevel" {
            return Vec::new();
        }
        let bytes = model["byte_fallback"] == true;
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("");
        let is_letter = |token: &str| {
            let token = token.strip_prefix(prefix).unwrap_or(token);
            token.chars().count() == 1
        };
        self.vocabulary()
            .into_iter()
            .filter(|(token, _)| match bytes {
                true => fallback_byte(token).is_some(),
                false => is_letter(token),
            })
            .map(|(_, id)| id)
            .collect()
    }

    /// The merges of a BPE model.
    fn merges(&self) -> Result<Option<Merges>, Error> {
        let model = self.model();
        if model["type"] != "BPE" {
            return Ok(None);
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let Some(affix) = model[key].as_str().filter(|affix| !affix.is_empty()) {
                return Err(Error::TokenAffix {
                    key,
                    affix: affix.to_owned(),
                });
            }
        }
        let merges = model["merges"].as_array().into_iter().flatten();
        Ok(Some(Merges::new(
            self.vocabulary(),
            merges.filter_map(pair),
        )))
    }

    fn restrict(&mut self, kept: &KeptTokens) -> Result<(), Error> {
        let renumber = |id: u32| {
            kept.new_id(id)
                .ok_or(Error::NeededTokenNotKept { old_id: id })
        };
        if let Some(unknown) = self.unknown_id() {
            renumber(unknown)?;
        }
        let model = &mut self.json["model"];
        match &mut model["vocab"] {
            Value::Object(ids) => {
                *ids = std::mem::take(ids)
                    .into_iter()
                    .filter_map(|(token, id)| Some((token, kept.new_id(token_id(&id)?)?.into())))
                    .collect::<Map<_, _>>();
            }
            Value::Array(scored) => {
                let mut old_ids = 0..;
                scored.retain(|_| old_ids.next().and_then(|id| kept.new_id(id)).is_some());
            }
            _ => {}
        }
        if let Some(id) = token_id(&model["unk_id"]) {
            model["unk_id"] = renumber(id)?.into();
        }
        let vocabulary = model["vocab"].as_object().cloned();
        if let (Some(vocabulary), Some(merges)) = (vocabulary, model["merges"].as_array_mut()) {
            merges.retain(|merge| {
                pair(merge).is_some_and(|[left, right]| {
                    [left, right, &format!("{left}{right}")]
                        .into_iter()
                        .all(|token| vocabulary.contains_key(token))
                })
            });
        }
        if let Some(added) = self.json["added_tokens"].as_array_mut() {
            added.retain_mut(|token| {
                let new_id = token_id(&token["id"]).and_then(|id| kept.new_id(id));
                if let Some(id) = new_id {
                    token["id"] = id.into();
                }
                new_id.is_some()
            });
        }
        visit_template_ids(&mut self.json["post_processor"], &mut |id| renumber(id))
    }
}

fn token_id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// A merge, which files spell `["a", "b"]` or `"a b"`.
fn pair(merge: &Value) -> Option<[&str; 2]> {
    match merge {
        Value::String(text) => text.split_once(' ').map(|(left, right)| [left, right]),
        merge => Some([merge[0].as_str()?, merge[1].as_str()?]),
    }
}

/// Replaces every id that a post-processor puts around a text.
fn visit_template_ids(
    processor: &mut Value,
    replace: &mut impl FnMut(u32) -> Result<u32, Error>,
) -> Result<(), Error> {
    let mut visit = |id: &mut Value| -> Result<(), Error> {
        if let Some(old) = token_id(id) {
            *id = replace(old)?.into();
        }
        Ok(())
    };
    match processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let tokens = processor["special_tokens"].as_object_mut();
            for token in tokens.into_iter().flat_map(Map::values_mut) {
                let ids = token["ids"].as_array_mut();
                ids.into_iter().flatten().try_for_each(&mut visit)?;
            }
            Ok(())
        }
        Some("BertProcessing" | "RobertaProcessing") => {
            for role in ["sep", "cls"] {
                processor[role].get_mut(1).map_or(Ok(()), &mut visit)?;
            }
            Ok(())
        }
        Some("Sequence") => {
            let parts = processor["processors"].as_array_mut();
            for part in parts.into_iter().flatten() {
                visit_template_ids(part, replace)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
