//! Models of fewer tokens.

use burn::prelude::*;
use potstill_core::{CausalLm, KeptTokens};
use serde_json::{Map, Value};

use crate::{Companions, Error, LanguageModel, ModelConfig};

impl LanguageModel {
    /// This model with the kept tokens only, under their new ids.
    ///
    /// Embeddings and head keep the rows of these tokens; everything else is shared with this model
    /// and costs no memory. A model restricted so says
    ///
    /// ```text
    /// p(token | text, the token is kept) = p(token | text) / Σ over kept tokens of p(· | text)
    /// ```
    ///
    /// exactly, since softmax over some logits is the distribution given that one of them occurs. So a
    /// restricted *teacher* is what a student of the same tokens is compared with, and a student is
    /// [derived](crate::derive_student) from it; the two speak the same ids. What the full teacher
    /// gave to tokens that are gone is spread over the others in proportion, never counted as zero.
    ///
    /// Parameters that are shared have the ids of this model's: to train the restricted model,
    /// derive a student of it first.
    ///
    /// # Errors
    ///
    /// When nothing is kept, a token does not exist, or one that the configuration gives a role
    /// (beginning, end, padding) is not kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use burn::prelude::*;
    /// use potstill_core::{CausalLm, KeptTokens};
    /// use potstill_models::{
    ///     Architecture, LanguageModel, ModelConfig, StudentSpec, derive_student,
    /// };
    ///
    /// let device = Device::default();
    /// let config = ModelConfig::new(Architecture::Llama, 32, 16, 2, 2);
    /// let full = LanguageModel::init(&config, 1, &device);
    ///
    /// let teacher = full.restricted_to(&KeptTokens::new([3, 4, 20]))?;
    /// let student = derive_student(&teacher, &StudentSpec::Copy, &device.autodiff())?.model;
    /// assert_eq!((teacher.vocab_size(), student.vocab_size()), (3, 3));
    /// # Ok::<(), potstill_models::Error>(())
    /// ```
    pub fn restricted_to(&self, kept: &KeptTokens) -> Result<Self, Error> {
        let config = restricted_config(self.config(), kept)?;
        let rows: Vec<i32> = kept.old_ids().iter().map(|&id| id.cast_signed()).collect();
        let device = self.head().weight.device().without_autodiff();
        let rows = Tensor::from_data(TensorData::new(rows, [kept.len()]), &device);
        Ok(match self {
            Self::Llama(model) => Self::Llama(model.with_tokens(&rows, config)),
            Self::Gpt2(model) => Self::Gpt2(model.with_tokens(&rows, config)),
        })
    }
}

/// The configuration of a model with the kept tokens, its roles renumbered.
fn restricted_config(full: &ModelConfig, kept: &KeptTokens) -> Result<ModelConfig, Error> {
    let &highest = kept.old_ids().last().ok_or(Error::NoTokenKept)?;
    if highest as usize >= full.vocab_size {
        return Err(Error::TokenOutOfRange {
            id: highest,
            vocab_size: full.vocab_size,
        });
    }
    let renumber = |key, id| kept.new_id(id).ok_or(Error::RoleNotKept { key, id });
    let role = |key, id: Option<u32>| id.map(|id| renumber(key, id)).transpose();
    let ends = full.eos_token_ids.iter();
    let mut config = ModelConfig {
        vocab_size: kept.len(),
        bos_token_id: role("bos_token_id", full.bos_token_id)?,
        pad_token_id: role("pad_token_id", full.pad_token_id)?,
        eos_token_ids: ends
            .map(|&id| renumber("eos_token_id", id))
            .collect::<Result<_, _>>()?,
        ..full.clone()
    };
    renumber_keys(&mut config.extra, kept);
    Ok(config)
}

/// Renumbers every `…_token_id` and `…_token_ids`; those that are not kept become null.
fn renumber_keys(keys: &mut Map<String, Value>, kept: &KeptTokens) {
    let renumber = |value: &Value| -> Value {
        let old = value.as_u64().and_then(|id| u32::try_from(id).ok());
        old.and_then(|id| kept.new_id(id)).into()
    };
    for (key, value) in keys {
        if key.ends_with("_token_id") || key.ends_with("_token_ids") {
            *value = match value.as_array() {
                Some(ids) => ids
                    .iter()
                    .map(renumber)
                    .filter(|id| !id.is_null())
                    .collect(),
                None => renumber(value),
            };
        }
    }
}

impl Companions {
    /// These files for a model [restricted](LanguageModel::restricted_to) to the kept tokens, with
    /// the tokenizer that was restricted to them.
    ///
    /// The ids in `tokenizer_config.json` and `generation_config.json` are renumbered; those of
    /// tokens that are not kept go.
    ///
    /// # Errors
    ///
    /// When one of the two is not a JSON object.
    pub fn restricted_to(
        &self,
        kept: &KeptTokens,
        tokenizer_json: impl Into<String>,
    ) -> Result<Self, Error> {
        let edited = |file, text: &Option<String>, edit: &dyn Fn(&mut Map<String, Value>)| {
            let Some(text) = text else { return Ok(None) };
            let mut keys: Map<String, Value> =
                serde_json::from_str(text).map_err(|source| Error::Companion { file, source })?;
            edit(&mut keys);
            Ok(Some(format!("{:#}\n", Value::Object(keys))))
        };
        Ok(Self {
            tokenizer_json: Some(tokenizer_json.into()),
            tokenizer_config: edited("tokenizer_config.json", &self.tokenizer_config, &|keys| {
                if let Some(Value::Object(added)) = keys.get_mut("added_tokens_decoder") {
                    *added = std::mem::take(added)
                        .into_iter()
                        .filter_map(|(id, token)| {
                            let id = kept.new_id(id.parse().ok()?)?;
                            Some((id.to_string(), token))
                        })
                        .collect();
                }
            })?,
            generation_config: edited(
                "generation_config.json",
                &self.generation_config,
                &|keys| renumber_keys(keys, kept),
            )?,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;
    use burn::tensor::activation::softmax;
    use potstill_core::{TokenBatch, TokenRow};

    use super::*;
    use crate::{Architecture, StudentSpec, derive_student};

    const KEPT: [u32; 6] = [0, 2, 3, 11, 29, 39];

    fn teacher(architecture: Architecture, tied: bool) -> LanguageModel {
        let mut config = ModelConfig::new(architecture, 40, 16, 2, 2);
        config.tie_word_embeddings = tied;
        (config.bos_token_id, config.eos_token_ids) = (Some(2), vec![3, 39]);
        config.max_positions = 16;
        config.initializer_range = 0.5;
        LanguageModel::init(&config, 4, &Device::default())
    }

    fn batch(tokens: &[u32]) -> TokenBatch {
        let row = TokenRow::document(tokens, &vec![1.0; tokens.len()]);
        TokenBatch::from_rows(&[row], 0, &Device::default())
    }

    #[test]
    fn a_restricted_model_is_the_full_one_given_that_a_kept_token_follows() {
        for (architecture, tied) in [
            (Architecture::Llama, true),
            (Architecture::Llama, false),
            (Architecture::Gpt2, true),
        ] {
            let full = teacher(architecture, tied);
            let kept = KeptTokens::new(KEPT);
            let small = full.restricted_to(&kept).unwrap();
            let old: Vec<u32> = vec![2, 29, 11, 39, 0, 29];
            let new: Vec<u32> = old.iter().map(|&id| kept.new_id(id).unwrap()).collect();
            let rows = Tensor::<1, Int>::from_data(
                TensorData::new(KEPT.map(u32::cast_signed).to_vec(), [6]),
                &Device::default(),
            );
            let probabilities = softmax(full.row_logits(&batch(&old)), 1).select(1, rows);
            let given_kept = probabilities.clone() / probabilities.sum_dim(1);
            softmax(small.row_logits(&batch(&new)), 1)
                .into_data()
                .assert_approx_eq::<f32>(&given_kept.into_data(), Tolerance::absolute(1e-6));
        }
    }

    #[test]
    fn roles_are_renumbered_and_a_student_follows() {
        let kept = KeptTokens::new(KEPT);
        let small = teacher(Architecture::Llama, true)
            .restricted_to(&kept)
            .unwrap();
        let config = small.config();
        assert_eq!((config.vocab_size, config.bos_token_id), (6, Some(1)));
        assert_eq!(config.eos_token_ids, [2, 5]);
        let device = Device::default().autodiff();
        let student = derive_student(&small, &StudentSpec::Copy, &device).unwrap();
        assert_eq!(student.model.config(), config);
    }

    #[test]
    fn tokens_with_a_role_must_be_kept() {
        let full = teacher(Architecture::Llama, true);
        let error = |kept: &[u32]| {
            let kept = KeptTokens::new(kept.iter().copied());
            full.restricted_to(&kept).unwrap_err().to_string()
        };
        assert!(error(&[2, 3, 5]).starts_with("eos_token_id is 39"));
        assert!(error(&[2, 3, 39, 40]).contains("token 40"));
        assert!(error(&[]).contains("no token"));
    }

    #[test]
    fn ids_in_the_files_beside_the_weights_are_renumbered() {
        let kept = KeptTokens::new(KEPT);
        let companions = Companions {
            tokenizer_config: Some(
                r#"{"added_tokens_decoder": {"2": {"content": "<s>"}, "7": {"content": "x"}}, "a": 1}"#
                    .into(),
            ),
            generation_config: Some(
                r#"{"eos_token_id": [3, 7, 39], "bos_token_id": 2, "forced_bos_token_id": 7, "top_k": 2}"#
                    .into(),
            ),
            ..Companions::default()
        };
        let small = companions.restricted_to(&kept, "{}").unwrap();
        let json = |text: &Option<String>| -> Value {
            serde_json::from_str(text.as_deref().unwrap()).unwrap()
        };
        assert_eq!(
            json(&small.tokenizer_config),
            serde_json::json!({"added_tokens_decoder": {"1": {"content": "<s>"}}, "a": 1})
        );
        assert_eq!(
            json(&small.generation_config),
            serde_json::json!({"eos_token_id": [2, 5], "bos_token_id": 1, "forced_bos_token_id": null,
                "top_k": 2})
        );
        assert_eq!(small.tokenizer_json.as_deref(), Some("{}"));
    }
}
