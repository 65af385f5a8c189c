//! When two answers are the same.

use std::borrow::Cow;

use fancy_regex::Regex;

use super::is_punctuation;

/// What does not count when an answer is compared with the expected one.
///
/// As the metric `exact_match` of lm-evaluation-harness: what matches a pattern is removed first, then
/// case, punctuation and digits.
///
/// ```
/// use potstill_eval::AnswerMatch;
///
/// let lenient = AnswerMatch { ignore_case: true, ignore_punctuation: true, ..AnswerMatch::default() };
/// assert!(lenient.matches("Yes.", "yes"));
/// assert!(!AnswerMatch::default().matches("Yes.", "yes"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct AnswerMatch {
    /// Upper and lower case are one.
    pub ignore_case: bool,
    /// ASCII punctuation is left out.
    pub ignore_punctuation: bool,
    /// ASCII digits are left out.
    pub ignore_numbers: bool,
    /// What matches is left out.
    pub patterns_to_ignore: Vec<Regex>,
}

impl AnswerMatch {
    /// Whether the two are the same.
    #[must_use]
    pub fn matches(&self, answer: &str, expected: &str) -> bool {
        self.reduced(answer) == self.reduced(expected)
    }

    fn reduced(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for pattern in &self.patterns_to_ignore {
            // A search that gives up on a text removes nothing.
            let replaced = pattern.try_replacen(&text, 0, "").map(Cow::into_owned);
            text = replaced.unwrap_or(text);
        }
        if self.ignore_case {
            text = text.to_lowercase();
        }
        let ignored = |c: char| {
            self.ignore_punctuation && is_punctuation(c)
                || self.ignore_numbers && c.is_ascii_digit()
        };
        text.chars().filter(|c| !ignored(*c)).collect()
    }
}
