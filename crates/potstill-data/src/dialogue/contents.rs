//! What a text is about: its words without the small ones.

use std::collections::BTreeSet;

use crate::rouge_tokens;

/// Shortest word that carries meaning; numbers always do.
const LEAST_LETTERS: usize = 4;

/// Words that carry meaning, each once.
pub(super) fn content_words(text: &str) -> BTreeSet<String> {
    rouge_tokens(text)
        .into_iter()
        .filter(|word| word.chars().count() >= LEAST_LETTERS || is_number(word) || !word.is_ascii())
        .map(|word| stem(&word))
        .collect()
}

/// Numbers as they are written, without separators of thousands.
pub(super) fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|c: char| c.is_whitespace())
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_digit()))
        .map(|word| word.replace(',', ""))
        .filter(|word| is_number(word))
        .collect()
}

/// Share of the words of `of` that `text` has; 1 if there are none.
pub(super) fn recall(of: &BTreeSet<String>, text: &BTreeSet<String>) -> f64 {
    if of.is_empty() {
        return 1.0;
    }
    of.intersection(text).count() as f64 / of.len() as f64
}

fn is_number(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_digit())
}

/// Plural and singular, and the forms of a verb, mostly share their first letters.
fn stem(word: &str) -> String {
    const ENDINGS: [&str; 5] = ["ing", "es", "ed", "s", "e"];
    ENDINGS
        .iter()
        .find_map(|ending| {
            word.strip_suffix(ending)
                .filter(|stem| stem.len() >= LEAST_LETTERS)
        })
        .unwrap_or(word)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        assert_eq!(
            content_words("Companies issue shares."),
            content_words("companie issued share")
        );
        assert!(content_words("it is so at 7").contains("7"));
    }

    #[test]
    fn numbers_are_found_as_written() {
        let found: Vec<String> = numbers("In 1929, 1,000 shares fell by 12.5%.")
            .into_iter()
            .collect();
        assert_eq!(found, ["1000", "12.5", "1929"]);
    }
}
