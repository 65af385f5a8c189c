//! Texts that are too short, too long, not language, or say the same over and over.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Outcome, Record, Rejected, Stage, StageContext, StageError};

/// What a text has to be like. A limit that is `None` is not checked.
///
/// Limits fit kinds of text: what is a page's rule rejects every chat turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextLimits {
    /// Fewest words, separated by white space.
    pub min_words: Option<usize>,
    /// Most words.
    pub max_words: Option<usize>,
    /// Fewest letters and digits among the characters that are no white space, in `[0, 1]`.
    pub min_alphanumeric: Option<f64>,
    /// Most characters of a word, on average.
    pub max_mean_word: Option<f64>,
    /// Most lines that repeat an earlier one, in `[0, 1]`.
    pub max_repeated_lines: Option<f64>,
    /// Most runs of three words that repeat an earlier one, in `[0, 1]`.
    pub max_repeated_trigrams: Option<f64>,
}

impl TextLimits {
    /// For turns of a conversation: short ones are fine, loops are not.
    #[must_use]
    pub fn chat() -> Self {
        Self {
            min_words: Some(1),
            max_words: Some(4_000),
            min_alphanumeric: Some(0.4),
            max_mean_word: Some(30.0),
            max_repeated_lines: Some(0.5),
            max_repeated_trigrams: Some(0.5),
        }
    }

    /// For pages, after the heuristics of NeMo Curator's cascade for English.
    #[must_use]
    pub fn page() -> Self {
        Self {
            min_words: Some(50),
            max_words: Some(100_000),
            min_alphanumeric: Some(0.75),
            max_mean_word: Some(10.0),
            max_repeated_lines: Some(0.3),
            max_repeated_trigrams: Some(0.3),
        }
    }

    /// The first limit that a text breaks, with what was found; `None` if it keeps all.
    #[must_use]
    pub fn broken_by(&self, text: &str) -> Option<(&'static str, String)> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let below = |limit: Option<usize>| limit.filter(|&limit| words.len() < limit);
        if let Some(limit) = below(self.min_words) {
            return Some((
                "too short",
                format!("{} words, at least {limit}", words.len()),
            ));
        }
        if let Some(limit) = self.max_words.filter(|&limit| words.len() > limit) {
            return Some((
                "too long",
                format!("{} words, at most {limit}", words.len()),
            ));
        }
        let shares = [
            (
                "few letters",
                1.0 - alphanumeric(text),
                self.min_alphanumeric.map(|least| 1.0 - least),
            ),
            ("long words", mean_length(&words), self.max_mean_word),
            (
                "repeated lines",
                repeated(line_hashes(text)),
                self.max_repeated_lines,
            ),
            (
                "repeated words",
                repeated(trigram_hashes(&words).into_iter()),
                self.max_repeated_trigrams,
            ),
        ];
        shares
            .into_iter()
            .find(|(_, value, limit)| limit.is_some_and(|limit| *value > limit))
            .map(|(reason, value, limit)| {
                (
                    reason,
                    format!("{value:.2}, at most {:.2}", limit.unwrap_or_default()),
                )
            })
    }
}

fn alphanumeric(text: &str) -> f64 {
    let characters = text.chars().filter(|c| !c.is_whitespace());
    let (mut all, mut of_words) = (0usize, 0usize);
    for character in characters {
        all += 1;
        of_words += usize::from(character.is_alphanumeric());
    }
    if all == 0 {
        1.0
    } else {
        of_words as f64 / all as f64
    }
}

fn mean_length(words: &[&str]) -> f64 {
    let characters: usize = words.iter().map(|word| word.chars().count()).sum();
    characters as f64 / words.len().max(1) as f64
}

/// Share of the items that came before, by their hashes.
fn repeated(items: impl Iterator<Item = u64>) -> f64 {
    let mut hashes: Vec<u64> = items.collect();
    let all = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    (all - hashes.len()) as f64 / all.max(1) as f64
}

fn line_hashes(text: &str) -> impl Iterator<Item = u64> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| xxh3_64(line.as_bytes()))
}

/// Hashes of runs of three words, from those of the words.
fn trigram_hashes(words: &[&str]) -> Vec<u64> {
    let words: Vec<u64> = words.iter().map(|word| xxh3_64(word.as_bytes())).collect();
    words
        .windows(3)
        .map(|run| {
            run.iter().fold(0u64, |hash, word| {
                (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })
        })
        .collect()
}

/// Rejects records whose text breaks a limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitText(
    /// The limits.
    pub TextLimits,
);

impl Stage for LimitText {
    fn name(&self) -> &'static str {
        "limit-text"
    }

    fn configuration(&self) -> Value {
        serde_json::to_value(self.0).unwrap_or_default()
    }

    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        let judge = |record: Record| match self.0.broken_by(&record.text()) {
            Some((reason, detail)) => {
                Outcome::Rejected(Rejected::new(reason, record).with_detail(detail))
            }
            None => Outcome::kept(record),
        };
        Ok(records.into_iter().map(judge).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn broken(limits: TextLimits, text: &str) -> Option<&'static str> {
        limits.broken_by(text).map(|(reason, _)| reason)
    }

    #[test]
    fn each_limit_is_named() {
        let chat = TextLimits::chat();
        for (text, reason) in [
            ("", "too short"),
            (&"word ".repeat(4001), "too long"),
            ("?!?! ... --- ok", "few letters"),
            (&"a".repeat(40), "long words"),
            ("go on\nwell\ngo on\ngo on\ngo on", "repeated lines"),
            ("I see I see I see I see I see", "repeated words"),
        ] {
            assert_eq!(broken(chat, text), Some(reason), "{text}");
        }
        assert_eq!(broken(chat, "Yes."), None);
        assert_eq!(broken(TextLimits::page(), "Yes."), Some("too short"));
        assert_eq!(broken(TextLimits::default(), ""), None);
    }

    #[test]
    fn letters_of_every_script_count() {
        assert_eq!(broken(TextLimits::chat(), "Как дела? 你好"), None);
    }

    #[test]
    fn a_typo_in_the_limits_is_an_error() {
        let error = serde_json::from_str::<TextLimits>(r#"{"min_word": 3}"#).unwrap_err();
        assert!(error.to_string().contains("min_word"), "{error}");
    }
}
