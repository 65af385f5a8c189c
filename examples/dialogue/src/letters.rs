//! Models whose tokens are the printable characters of ASCII.

use potstill::burn::tensor::Device;
use potstill::core::SpecialTokens;
use potstill::data::{ChatTemplate, Error, TextTokenizer};
use potstill::models::{Architecture, LanguageModel, ModelConfig};
use serde_json::{Map, Value, json};

const SPECIALS: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];

/// What is asked, a line break, and what is answered. Instructions of a system message are not
/// shown: so small a model cannot follow any.
const TEMPLATE: &str = "\
{%- for message in messages -%}
{%- if message.role == 'user' -%}{{ bos_token + message.content + '\\n' }}
{%- elif message.role == 'assistant' -%}{% generation %}{{ message.content + eos_token }}{% endgeneration %}
{%- endif -%}
{%- endfor -%}";

fn special_tokens() -> SpecialTokens {
    let [pad, bos, eos, unk] = SPECIALS.map(|token| Some(token.to_owned()));
    SpecialTokens { bos, eos, pad, unk }
}

/// One token a character.
///
/// # Errors
///
/// Never, unless the `tokenizers` crate no longer reads such a definition.
pub fn tokenizer() -> Result<TextTokenizer, Error> {
    let letters = (' '..='~').chain(['\n']).map(String::from);
    let vocabulary: Map<String, Value> = SPECIALS
        .map(str::to_owned)
        .into_iter()
        .chain(letters)
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let added: Vec<Value> = SPECIALS
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({
                "id": id, "content": token, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false
            })
        })
        .collect();
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split", "pattern": { "Regex": "[\\s\\S]" }, "behavior": "Isolated", "invert": false
        },
        "post_processor": null, "decoder": { "type": "Fuse" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" }
    });
    TextTokenizer::from_json(&definition.to_string())?.with_special_tokens(special_tokens())
}

/// How a conversation is written.
///
/// # Errors
///
/// Never, unless the template language changes.
pub fn template() -> Result<ChatTemplate, Error> {
    ChatTemplate::new(TEMPLATE, special_tokens())
}

/// A model with fresh weights that can be trained.
#[must_use]
pub fn fresh(
    tokenizer: &TextTokenizer,
    d_model: usize,
    layers: usize,
    max_positions: usize,
    seed: u64,
) -> LanguageModel {
    let config = ModelConfig {
        d_ff: 3 * d_model,
        max_positions,
        tie_word_embeddings: true,
        bos_token_id: tokenizer.bos_id(),
        eos_token_ids: tokenizer.eos_id().into_iter().collect(),
        pad_token_id: Some(tokenizer.pad_id()),
        ..ModelConfig::new(
            Architecture::Llama,
            tokenizer.vocab_size(),
            d_model,
            layers,
            4,
        )
    };
    LanguageModel::init(&config, seed, &Device::default().autodiff())
}

#[cfg(test)]
mod tests {
    use potstill::core::Message;
    use potstill::data::{Content, EncodeOptions, encode_record};

    use super::*;

    #[test]
    fn a_conversation_is_its_letters_and_only_the_answer_counts() {
        let tokenizer = tokenizer().unwrap();
        let messages = vec![
            Message::system("Be kind."),
            Message::user("What is 1+2?"),
            Message::assistant("So 1+2=3."),
        ];
        let template = template().unwrap();
        assert_eq!(
            template.render(&messages, false).unwrap(),
            "<bos>What is 1+2?\nSo 1+2=3.<eos>"
        );
        let record = Content::Messages(messages).into();
        let options = EncodeOptions::default();
        let document = encode_record(&record, &tokenizer, Some(&template), &options).unwrap();
        assert_eq!(document.tokens.len(), 24);
        let unknown = tokenizer.token_id("<unk>").unwrap();
        assert!(!document.tokens.contains(&unknown));
        let counted = document.weights.iter().filter(|weight| **weight > 0.0);
        assert_eq!(counted.count(), "So 1+2=3.".len() + 1);
        assert_eq!(document.weights[..14], [0.0; 14]);
    }
}
