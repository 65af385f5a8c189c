//! Text to the tokens that are read and scored, as lm-evaluation-harness cuts them.

use potstill_data::TextTokenizer;

use super::ScoredTokens;
use crate::Error;

/// Why a text cannot be put to a model.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextProblem {
    #[error("it cannot be tokenized: {0}")]
    Tokenize(#[from] potstill_data::Error),
    #[error(
        "its context is empty, and the tokenizer has neither a beginning-of-text nor an end-of-text \
         token to begin with"
    )]
    NoPrefix,
    #[error("its continuation adds no token to its context")]
    NothingToScore,
    #[error("its continuation has {continuation} tokens, the model reads {window} at once")]
    TooLong { continuation: usize, window: usize },
    #[error(
        "{max_new_tokens} new tokens were asked for, which leaves no room for a prompt in the {window} \
         that the model reads at once"
    )]
    NoRoom {
        max_new_tokens: usize,
        window: usize,
    },
}

impl TextProblem {
    /// The same of the text at `index`.
    pub(super) fn of(self, index: usize) -> Error {
        Error::Text {
            index,
            source: Box::new(self),
        }
    }
}

/// What an empty text begins with.
fn prefix(tokenizer: &TextTokenizer) -> Result<u32, TextProblem> {
    let prefix = tokenizer.bos_id().or_else(|| tokenizer.eos_id());
    prefix.ok_or(TextProblem::NoPrefix)
}

pub(super) fn of_pair(
    tokenizer: &TextTokenizer,
    window: usize,
    context: &str,
    continuation: &str,
) -> Result<ScoredTokens, TextProblem> {
    let (mut tokens, context_len) = if context.is_empty() {
        let continuation = tokenizer.encode(continuation, false)?;
        let prefix = prefix(tokenizer)?;
        let begun = continuation.first() == Some(&prefix);
        let begin = (!begun).then_some(prefix);
        (begin.into_iter().chain(continuation).collect(), 1)
    } else {
        let whole = tokenizer.encode(&format!("{context}{continuation}"), false)?;
        (whole, tokenizer.encode(context.trim_end(), false)?.len())
    };
    // A context of white space alone has moved to the continuation.
    let context_len = if context_len == 0 {
        tokens.insert(0, prefix(tokenizer)?);
        1
    } else {
        context_len
    };
    let scored = match tokens.len().checked_sub(context_len) {
        Some(scored) if scored > 0 => scored,
        _ => return Err(TextProblem::NothingToScore),
    };
    if scored > window {
        return Err(TextProblem::TooLong {
            continuation: scored,
            window,
        });
    }
    let surplus = tokens.len().saturating_sub(window + 1);
    tokens.drain(..surplus);
    Ok(ScoredTokens { tokens, scored })
}

/// Windows that predict each token of `text` once; none for an empty text.
pub(super) fn rolling(
    tokenizer: &TextTokenizer,
    window: usize,
    text: &str,
) -> Result<Vec<ScoredTokens>, TextProblem> {
    let mut tokens = vec![prefix(tokenizer)?];
    tokens.extend(tokenizer.encode(text, false)?);
    Ok(windows(&tokens, window))
}

/// The first of `tokens` is only read. Each window predicts the next `window` tokens, the last one
/// what is left, behind as many as there is room for.
fn windows(tokens: &[u32], window: usize) -> Vec<ScoredTokens> {
    let mut windows = Vec::new();
    let mut predicted = 1;
    while predicted < tokens.len() {
        let end = tokens.len().min(predicted + window);
        windows.push(ScoredTokens {
            tokens: tokens[end.saturating_sub(window + 1)..end].to_vec(),
            scored: end - predicted,
        });
        predicted = end;
    }
    windows
}

pub(super) fn prompt(
    tokenizer: &TextTokenizer,
    window: usize,
    text: &str,
    max_new_tokens: usize,
) -> Result<Vec<u32>, TextProblem> {
    let room = window.checked_sub(max_new_tokens).filter(|&room| room > 0);
    let room = room.ok_or(TextProblem::NoRoom {
        max_new_tokens,
        window,
    })?;
    let mut tokens = tokenizer.encode(text, false)?;
    if tokens.is_empty() {
        tokens.push(prefix(tokenizer)?);
    }
    tokens.drain(..tokens.len().saturating_sub(room));
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `lm_eval.utils.get_rolling_token_windows(list(range(1, n + 1)), 0, window, 1)` of lm_eval
    /// 0.4.13, each as what is read and what is predicted.
    #[test]
    fn windows_are_those_of_the_harness() {
        let tokens: Vec<u32> = (0..=7).collect();
        let found: Vec<(Vec<u32>, usize)> = windows(&tokens, 3)
            .into_iter()
            .map(|window| (window.tokens, window.scored))
            .collect();
        assert_eq!(
            found,
            [
                (vec![0, 1, 2, 3], 3),
                (vec![3, 4, 5, 6], 3),
                (vec![4, 5, 6, 7], 1),
            ]
        );
        assert_eq!(windows(&[0], 3), []);
    }

    proptest! {
        #[test]
        fn every_token_is_predicted_once_and_no_window_is_too_long(n in 0u32..50, window in 1usize..12) {
            let tokens: Vec<u32> = (0..=n).collect();
            let mut predicted = Vec::new();
            for part in windows(&tokens, window) {
                prop_assert!(part.tokens.len() <= window + 1 && part.scored < part.tokens.len());
                predicted.extend_from_slice(&part.tokens[part.tokens.len() - part.scored..]);
            }
            prop_assert_eq!(predicted, &tokens[1..]);
        }
    }
}
