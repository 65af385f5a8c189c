//! F1 of words, as SQuAD has it.

use super::is_punctuation;
use super::ngrams::{ngrams, shared};

/// `2PR / (P + R)` of the words that an answer and the expected one share, in `[0, 1]`.
///
/// Case, punctuation and articles do not count. If one of them has no word left, they agree when the
/// other has none either.
/// Rajpurkar, Jia, Liang, 2018, arXiv:1806.03822; its evaluation script.
#[must_use]
pub fn token_f1(answer: &str, expected: &str) -> f64 {
    let (answer, expected) = (words(answer), words(expected));
    if answer.is_empty() || expected.is_empty() {
        return if answer == expected { 1.0 } else { 0.0 };
    }
    let shared = shared(&ngrams(&answer, 1), &ngrams(&expected, 1)) as f64;
    2.0 * shared / (answer.len() + expected.len()) as f64
}

fn words(text: &str) -> Vec<String> {
    let text: String = text
        .to_lowercase()
        .chars()
        .filter(|c| !is_punctuation(*c))
        .collect();
    text.split_whitespace()
        .filter(|word| !["a", "an", "the"].contains(word))
        .map(str::to_owned)
        .collect()
}
