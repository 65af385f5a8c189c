//! Where checkpoints and text meet.

use potstill_data::{SpecialTokens, TextTokenizer};
use potstill_models::Checkpoint;

/// Why a checkpoint gives no tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The checkpoint is a folder without `tokenizer.json`.
    #[error("{path} has no tokenizer; put the model's tokenizer.json beside its weights")]
    Missing {
        /// The checkpoint.
        path: String,
    },
    /// The checkpoint cannot be read, or holds a kind of tokenizer that is not supported.
    #[error(transparent)]
    Checkpoint(#[from] potstill_models::Error),
    /// The tokenizer is damaged or does not fit the model.
    #[error(transparent)]
    Data(#[from] potstill_data::Error),
}

/// The tokenizer of a checkpoint, a Hugging Face folder or a GGUF file, with its special tokens.
///
/// # Errors
///
/// When there is none, it cannot be read, its kind is not supported, or it has more tokens than the
/// model.
pub fn checkpoint_tokenizer(checkpoint: &Checkpoint) -> Result<TextTokenizer, TokenizerError> {
    let json = checkpoint.tokenizer_json()?;
    let json = json.ok_or_else(|| TokenizerError::Missing {
        path: checkpoint.path().display().to_string(),
    })?;
    let specials = checkpoint.special_tokens()?;
    let text = |token: Option<potstill_models::SpecialToken>| token.map(|token| token.text);
    let tokenizer = TextTokenizer::from_json(&json)?.with_special_tokens(SpecialTokens {
        bos: text(specials.bos),
        eos: text(specials.eos),
        pad: text(specials.pad),
        unk: text(specials.unk),
    })?;
    tokenizer.check_fits(checkpoint.config().vocab_size)?;
    Ok(tokenizer)
}
