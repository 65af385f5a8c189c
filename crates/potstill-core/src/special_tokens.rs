//! The tokens with a role: beginning, end, padding, unknown.

use serde::{Deserialize, Deserializer};

/// The tokens with a role, as text.
///
/// Deserializes from a `tokenizer_config.json` or a `special_tokens_map.json`, where a token is a
/// string or an object with its `content`; other keys are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SpecialTokens {
    /// Begins a text.
    #[serde(rename = "bos_token", deserialize_with = "text")]
    pub bos: Option<String>,
    /// Ends a text.
    #[serde(rename = "eos_token", deserialize_with = "text")]
    pub eos: Option<String>,
    /// Fills up a row.
    #[serde(rename = "pad_token", deserialize_with = "text")]
    pub pad: Option<String>,
    /// Stands for what the vocabulary lacks.
    #[serde(rename = "unk_token", deserialize_with = "text")]
    pub unk: Option<String>,
}

impl SpecialTokens {
    /// The roles that have a token, called as chat templates call them: `("bos_token", "<s>")`.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("pad_token", &self.pad),
            ("unk_token", &self.unk),
        ]
        .into_iter()
        .filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }

    /// These, and those of `other` for the roles that have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            bos: self.bos.or(other.bos),
            eos: self.eos.or(other.eos),
            pad: self.pad.or(other.pad),
            unk: self.unk.or(other.unk),
        }
    }

    /// Those that `keep` is true of.
    #[must_use]
    pub fn filtered(self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut filter = |token: Option<String>| token.filter(|token| keep(token));
        Self {
            bos: filter(self.bos),
            eos: filter(self.eos),
            pad: filter(self.pad),
            unk: filter(self.unk),
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a special token must be a string or an object with a string \"content\""
)]
enum Token {
    Text(String),
    Object { content: String },
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let token = Option::deserialize(deserializer)?;
    Ok(token.map(|token| match token {
        Token::Text(text) | Token::Object { content: text } => text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_string_or_an_object() {
        let json = r#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
                       "pad_token": null, "model_max_length": 8}"#;
        let tokens: SpecialTokens = serde_json::from_str(json).unwrap();
        let named: Vec<_> = tokens.named().collect();
        assert_eq!(named, [("bos_token", "<s>"), ("eos_token", "</s>")]);
        let error = serde_json::from_str::<SpecialTokens>(r#"{"bos_token": 3}"#).unwrap_err();
        let message = "a special token must be a string or an object with a string \"content\"";
        assert!(error.to_string().starts_with(message), "{error}");
    }

    #[test]
    fn tokens_are_filled_up_and_filtered_role_by_role() {
        let tokens = |bos: &str, eos: Option<&str>| SpecialTokens {
            bos: Some(bos.into()),
            eos: eos.map(str::to_owned),
            ..SpecialTokens::default()
        };
        let both = tokens("<s>", None).or(tokens("<bos>", Some("</s>")));
        assert_eq!(both, tokens("<s>", Some("</s>")));
        assert_eq!(both.filtered(|token| token == "<s>"), tokens("<s>", None));
    }
}
