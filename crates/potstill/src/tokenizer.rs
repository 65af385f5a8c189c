//! Where checkpoints and text meet.

use std::path::PathBuf;

use potstill_data::TextTokenizer;
use potstill_models::Checkpoint;

/// Why a checkpoint gives no tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The checkpoint is a folder without `tokenizer.json`.
    #[error("{} has no tokenizer; put the model's tokenizer.json beside its weights", path.display())]
    Missing {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The checkpoint cannot be read, or holds a kind of tokenizer that is not supported.
    #[error(transparent)]
    Checkpoint(#[from] potstill_models::Error),
    /// The tokenizer is damaged or does not fit the model.
    #[error("cannot use the tokenizer of {}", path.display())]
    Unusable {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        #[source]
        source: potstill_data::Error,
    },
}

/// The tokenizer of a checkpoint, a Hugging Face folder or a GGUF file, with its special tokens.
///
/// # Errors
///
/// When there is none, it cannot be read, its kind is not supported, or it has more tokens than the
/// model.
pub fn checkpoint_tokenizer(checkpoint: &Checkpoint) -> Result<TextTokenizer, TokenizerError> {
    let path = || checkpoint.path().to_path_buf();
    let json = checkpoint.tokenizer_json()?;
    let json = json.ok_or_else(|| TokenizerError::Missing { path: path() })?;
    let specials = checkpoint.special_tokens()?;
    let fitting = || {
        let tokenizer = TextTokenizer::from_json(&json)?.with_declared_special_tokens(specials);
        tokenizer.check_fits(checkpoint.config().vocab_size)?;
        Ok(tokenizer)
    };
    fitting().map_err(|source| TokenizerError::Unusable {
        path: path(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;

    use potstill_models::{Architecture, ModelConfig};

    use super::*;

    const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "unk_token": "a",
        "vocab": {"a": 0, "b": 1, "c": 2}}}"#;

    fn open(vocab_size: usize, files: &[(&str, &str)]) -> Result<TextTokenizer, TokenizerError> {
        let folder = tempfile::tempdir().unwrap();
        let config = ModelConfig::new(Architecture::Llama, vocab_size, 8, 1, 1).to_hf_json();
        for (name, text) in files.iter().chain(&[("config.json", config.as_str())]) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        checkpoint_tokenizer(&Checkpoint::open(folder.path()).unwrap())
    }

    #[test]
    fn special_tokens_come_along_if_the_vocabulary_has_them() {
        let declared = r#"{"eos_token": "b", "pad_token": "[PAD]"}"#;
        let files = [
            ("tokenizer.json", TOKENIZER),
            ("tokenizer_config.json", declared),
        ];
        let tokenizer = open(3, &files).unwrap();
        assert_eq!(tokenizer.eos_id(), Some(1));
        assert_eq!(tokenizer.special_tokens().pad, None);
    }

    #[test]
    fn what_is_wrong_with_a_tokenizer_is_said_with_its_path() {
        let missing = open(3, &[]).unwrap_err();
        assert!(missing.to_string().contains("tokenizer.json"), "{missing}");
        for (vocab_size, text, expected) in [
            (2, TOKENIZER, "3 tokens, but the model only 2"),
            (3, "{}", "not a usable tokenizer"),
        ] {
            let error = open(vocab_size, &[("tokenizer.json", text)]).unwrap_err();
            assert!(matches!(error, TokenizerError::Unusable { .. }), "{error}");
            let source = error.source().unwrap().to_string();
            assert!(source.contains(expected), "{source}");
        }
    }
}
