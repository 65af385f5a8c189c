//! A document as a prompt and what follows.

use potstill_core::TokenRow;

use super::check;
use crate::Error;

/// One document of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passage {
    tokens: Vec<u32>,
    /// Weight of predicting each token.
    weights: Vec<f32>,
    prompt: usize,
}

impl Passage {
    /// The documents of a row.
    pub(super) fn of_row(row: &TokenRow) -> Vec<Self> {
        let mut begin = 0;
        row.segments()
            .chunk_by(|a, b| a == b)
            .map(|segment| {
                let end = begin + segment.len();
                let of_segment = begin..end;
                begin = end;
                let mut tokens = row.tokens()[of_segment.clone()].to_vec();
                tokens.extend(row.targets()[of_segment.clone()].last());
                let mut weights = vec![0.0];
                weights.extend(&row.weights()[of_segment]);
                let prompt = weights.iter().position(|&weight| weight != 0.0);
                Self {
                    prompt: prompt.unwrap_or(tokens.len()),
                    tokens,
                    weights,
                }
            })
            .collect()
    }

    /// What comes before the first token that counts; all of it if none does.
    pub(super) fn prompt(&self) -> &[u32] {
        &self.tokens[..self.prompt]
    }

    pub(super) fn has_completion(&self) -> bool {
        self.prompt < self.tokens.len()
    }

    /// As the data has it.
    pub(super) fn row(&self) -> TokenRow {
        TokenRow::document(&self.tokens, &self.weights)
    }
}

/// A document of one token has no place in a row, so nobody can continue it.
pub(super) fn check_prompts(rows: &[TokenRow]) -> Result<(), Error> {
    check(
        "data",
        "a row without a document",
        !rows.iter().any(TokenRow::is_empty),
        "documents of at least two tokens",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_cut_before_its_first_token_that_counts() {
        let mut row = TokenRow::document(&[1, 2, 3, 4], &[0.0, 0.0, 0.5, 1.0]);
        row.push_document(&[5, 6, 7], &[0.0; 3]);
        row.push_document(&[8, 9], &[1.0; 2]);
        let passages = Passage::of_row(&row);
        let prompts: Vec<&[u32]> = passages.iter().map(Passage::prompt).collect();
        assert_eq!(prompts, [&[1, 2][..], &[5, 6, 7], &[8]]);
        assert!(passages[0].has_completion() && !passages[1].has_completion());
        let expected = TokenRow::document(&[1, 2, 3, 4], &[0.0, 0.0, 0.5, 1.0]);
        assert_eq!(passages[0].row(), expected);
    }

    #[test]
    fn a_row_that_nobody_can_continue_is_refused() {
        let row = |tokens: &[u32]| TokenRow::document(tokens, &vec![0.0; tokens.len()]);
        check_prompts(&[row(&[1, 2])]).unwrap();
        let error = check_prompts(&[row(&[1, 2]), row(&[1])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "data is a row without a document, it must be documents of at least two tokens"
        );
    }
}
