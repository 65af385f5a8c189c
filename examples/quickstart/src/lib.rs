//! The addition task of the quickstart: problems, their examination, and what its programs share.

pub mod addition;
pub mod examination;

use std::path::PathBuf;

use potstill::core::TokenRow;
use potstill::data::{Error, TextTokenizer};

use crate::addition::Problem;

/// The teacher that the repository ships.
#[must_use]
pub fn teacher_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("teacher")
}

/// `<bos>question answer<eos>` as a training row: each token of the answer and the end count 1, each
/// token of the question `question_weight`.
///
/// # Errors
///
/// When the tokenizer is not that of the task.
pub fn training_row(
    tokenizer: &TextTokenizer,
    problem: Problem,
    answer: &str,
    question_weight: f32,
) -> Result<TokenRow, Error> {
    let question = tokenizer.encode(&format!("<bos>{problem}"), false)?;
    let mut tokens = question.clone();
    tokens.extend(tokenizer.encode(&format!("{answer}<eos>"), false)?);
    let weights: Vec<f32> = (0..tokens.len())
        .map(|position| {
            if position < question.len() {
                question_weight
            } else {
                1.0
            }
        })
        .collect();
    Ok(TokenRow::document(&tokens, &weights))
}

/// The `tokenizer_config.json` of the task.
pub const TOKENIZER_CONFIG: &str = r#"{
  "tokenizer_class": "PreTrainedTokenizerFast",
  "bos_token": "<bos>",
  "eos_token": "<eos>",
  "pad_token": "<pad>",
  "unk_token": "<unk>",
  "clean_up_tokenization_spaces": false,
  "model_max_length": 32
}
"#;
