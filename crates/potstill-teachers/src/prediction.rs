//! What several teachers here need to do with a prediction.

use burn::prelude::*;
use potstill_core::{Prediction, TokenizerIdentity, Vocabulary};

/// Logits that exist at a time.
const CHUNK_LOGITS: usize = 1 << 24;

/// Rows whose logits over `vocab` tokens exist at a time.
pub(crate) fn chunk_rows(vocab: usize) -> usize {
    (CHUNK_LOGITS / vocab.max(1)).max(1)
}

/// Logits of the rows `start..start + rows`, `[rows, vocab]`; `None` unless the prediction is a whole
/// distribution.
pub(crate) fn logits(prediction: &Prediction, start: usize, rows: usize) -> Option<Tensor<2>> {
    match prediction {
        Prediction::Deferred { hidden, head } => {
            Some(head.logits(hidden.clone().narrow(0, start, rows)))
        }
        Prediction::Dense(logits) => Some(logits.clone().narrow(0, start, rows)),
        _ => None,
    }
}

/// A tokenizer, for messages.
pub(crate) fn tokenizer_name(tokenizer: &TokenizerIdentity) -> String {
    let hash = &tokenizer.fingerprint;
    let hash = hash.get(..12).unwrap_or(hash);
    format!("{hash} of {} tokens", tokenizer.size)
}

/// Head and tokenizer, for messages.
pub(crate) fn vocabulary_name(vocabulary: &Vocabulary) -> String {
    let tokenizer = vocabulary.tokenizer.as_ref();
    let tokenizer = tokenizer.map_or("an unknown tokenizer".to_owned(), |tokenizer| {
        format!("the tokenizer {}", tokenizer_name(tokenizer))
    });
    format!("a head of {} tokens with {tokenizer}", vocabulary.head_size)
}
