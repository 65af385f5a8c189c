//! How text is cut into words before merges apply.
//!
//! GGUF only names the rule (`tokenizer.ggml.pre`). The rules are those of the `tokenizer.json` that
//! the named models were published with.

use serde_json::{Value, json};

/// A rule that is known for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreTokenizer {
    /// GPT-2's own.
    Gpt2,
    /// GPT-2's, with every digit on its own: SmolLM and StarCoder.
    Digits,
    /// Llama 3: up to three digits together, case-insensitive contractions.
    Llama3,
    /// Qwen2 and Qwen3: like Llama 3, with single digits, on text in normal form C.
    Qwen2,
    /// Qwen2's rule without normalization.
    Qwen2Raw,
}

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl PreTokenizer {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("gpt-2", Self::Gpt2),
        ("default", Self::Gpt2),
        ("smollm", Self::Digits),
        ("starcoder", Self::Digits),
        ("refact", Self::Digits),
        ("llama-bpe", Self::Llama3),
        ("llama3", Self::Llama3),
        ("llama-v3", Self::Llama3),
        ("qwen2", Self::Qwen2),
        ("deepseek-r1-qwen", Self::Qwen2Raw),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, rule)| *rule)
    }

    /// What files call the rule of a `tokenizer.json`, if it is one of these.
    pub(super) fn name_of(tokenizer: &Value) -> Option<&'static str> {
        let steps = steps_of(&tokenizer["pre_tokenizer"])?;
        let (model, normalizer) = (&tokenizer["model"], &tokenizer["normalizer"]);
        let (name, _) = Self::NAMES.iter().find(|(_, rule)| {
            let same_steps = steps_of(&rule.to_json()).as_ref() == Some(&steps);
            let same_normalizer = rule.normalizer()["type"] == normalizer["type"];
            let ignores_merges = model["ignore_merges"] == true;
            same_steps && same_normalizer && ignores_merges == rule.ignores_merges()
        })?;
        Some(name)
    }

    /// Whether a word that is a token is taken whole, merges or not.
    pub(super) fn ignores_merges(self) -> bool {
        self == Self::Llama3
    }

    /// Whether a text begins with the beginning-of-text token where the file does not say.
    pub(super) fn begins_with_bos(self) -> bool {
        self == Self::Llama3
    }

    pub(super) fn normalizer(self) -> Value {
        if self == Self::Qwen2 {
            json!({"type": "NFC"})
        } else {
            Value::Null
        }
    }

    pub(super) fn to_json(self) -> Value {
        let first = match self {
            Self::Gpt2 => return byte_level(true),
            Self::Digits => json!({"type": "Digits", "individual_digits": true}),
            Self::Llama3 => split(LLAMA_3),
            Self::Qwen2 | Self::Qwen2Raw => split(QWEN_2),
        };
        let rest = byte_level(self == Self::Digits);
        json!({"type": "Sequence", "pretokenizers": [first, rest]})
    }
}

/// What a pre-tokenizer does, step by step: its names, without what changes no token.
fn steps_of(pre_tokenizer: &Value) -> Option<Vec<(&str, &str)>> {
    let kind = pre_tokenizer["type"].as_str()?;
    let step = match kind {
        "Sequence" => {
            let parts = pre_tokenizer["pretokenizers"].as_array()?.iter();
            let parts: Option<Vec<_>> = parts.map(steps_of).collect();
            return Some(parts?.concat());
        }
        "ByteLevel" if pre_tokenizer["add_prefix_space"] != false => return None,
        // Files from before the option existed cut by GPT-2's rule.
        "ByteLevel" if pre_tokenizer["use_regex"] == false => "",
        "ByteLevel" => "words",
        "Digits" if pre_tokenizer["individual_digits"] == true => "individual",
        "Split" if pre_tokenizer["behavior"] == "Isolated" && pre_tokenizer["invert"] != true => {
            pre_tokenizer["pattern"]["Regex"].as_str()?
        }
        _ => return None,
    };
    Some(vec![(kind, step)])
}

fn split(regex: &str) -> Value {
    json!({
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": "Isolated",
        "invert": false,
    })
}

/// Bytes as printable characters; `words` also cuts by GPT-2's rule.
///
/// Offsets are not trimmed, so that they cover the text without gaps.
pub(super) fn byte_level(words: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": false,
        "use_regex": words,
    })
}
