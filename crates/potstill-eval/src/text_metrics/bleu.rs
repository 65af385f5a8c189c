//! BLEU.
//!
//! ```text
//! BLEU = 100 · B · exp( ¼ Σₙ log pₙ )     n = 1 … 4
//! B    = min(1, exp(1 − r / c))           c, r: words of the candidates and of the references
//! ```
//!
//! `pₙ` is the share of the candidates' n-grams that are in the references, clipped at how often they
//! are there; the k-th precision of 0 counts as `1 / (2ᵏ · n-grams)`.
//! Papineni, Roukos, Ward, Zhu, *BLEU*, ACL 2002; the numbers are those of sacreBLEU (Post, 2018,
//! arXiv:1804.08771) with its defaults: tokens as in mteval-v13a, smoothing `exp`.

use std::collections::HashMap;
use std::iter::Sum;

use super::ngrams::ngrams;

const ORDERS: usize = 4;

/// What BLEU is computed from: the counts of a segment, or of several, which add up.
///
/// ```
/// use potstill_eval::BleuCounts;
///
/// let segment = |candidate, reference| BleuCounts::new(candidate, &[reference]);
/// let corpus: BleuCounts = [
///     segment("The cat sat on the mat.", "The cat sat on the mat."),
///     segment("There is a dog.", "There was a dog in the garden."),
/// ]
/// .into_iter()
/// .sum();
/// assert!(corpus.score() > 50.0 && corpus.score() < 100.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuCounts {
    matches: [u64; ORDERS],
    totals: [u64; ORDERS],
    candidate_words: u64,
    reference_words: u64,
}

impl BleuCounts {
    /// The counts of a candidate with one reference or several, of which the closest in length is the
    /// one whose length counts.
    ///
    /// # Panics
    ///
    /// Panics if there is no reference.
    #[must_use]
    pub fn new(candidate: &str, references: &[&str]) -> Self {
        assert!(!references.is_empty(), "BLEU needs a reference");
        let candidate = words(candidate);
        let references: Vec<Vec<String>> = references.iter().map(|text| words(text)).collect();
        let distance = |length: &usize| (length.abs_diff(candidate.len()), *length);
        let closest = references.iter().map(Vec::len).min_by_key(distance);
        let mut counts = Self {
            candidate_words: candidate.len() as u64,
            reference_words: closest.unwrap_or(0) as u64,
            ..Self::default()
        };
        for order in 0..ORDERS {
            let mut known: HashMap<&[String], u64> = HashMap::new();
            for reference in &references {
                for (run, count) in ngrams(reference, order + 1) {
                    let most = known.entry(run).or_default();
                    *most = count.max(*most);
                }
            }
            for (run, count) in ngrams(&candidate, order + 1) {
                counts.totals[order] += count;
                counts.matches[order] += known.get(run).map_or(0, |most| count.min(*most));
            }
        }
        counts
    }

    /// BLEU of a corpus, from 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.with_orders(ORDERS)
    }

    /// BLEU of a sentence, from 0 to 100: orders for which it is too short do not count.
    #[must_use]
    pub fn sentence_score(&self) -> f64 {
        self.with_orders(self.totals.iter().take_while(|total| **total > 0).count())
    }

    fn with_orders(&self, orders: usize) -> f64 {
        if self.matches.iter().all(|matches| *matches == 0) {
            return 0.0;
        }
        let mut log_precisions = 0.0;
        let mut penalty = 1.0;
        for (matches, total) in self.matches.iter().zip(self.totals).take(orders) {
            if total == 0 {
                return 0.0;
            }
            let matches = match matches {
                0 => {
                    penalty *= 2.0;
                    1.0 / penalty
                }
                matches => *matches as f64,
            };
            log_precisions += (matches / total as f64).ln();
        }
        let (candidate, reference) = (self.candidate_words as f64, self.reference_words as f64);
        let brevity = (1.0 - reference / candidate).min(0.0).exp();
        100.0 * brevity * (log_precisions / orders as f64).exp()
    }
}

impl Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut total, counts| {
            for order in 0..ORDERS {
                total.matches[order] += counts.matches[order];
                total.totals[order] += counts.totals[order];
            }
            total.candidate_words += counts.candidate_words;
            total.reference_words += counts.reference_words;
            total
        })
    }
}

/// The tokens of mteval-v13a: punctuation stands for itself, but a period or comma between digits and
/// a dash that is not behind a digit stay.
fn words(text: &str) -> Vec<String> {
    let mut text = text
        .trim_end()
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    for (entity, character) in [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        text = text.replace(entity, character);
    }
    let mut apart = String::from(" ");
    for c in text.chars() {
        if stands_alone(c) {
            apart.extend([' ', c, ' ']);
        } else {
            apart.push(c);
        }
    }
    apart.push(' ');
    let is_stop = |c: char| c == '.' || c == ',';
    let behind = split_pairs(&apart, |first, second| {
        (!first.is_ascii_digit() && is_stop(second)).then_some([first, ' ', second, ' '])
    });
    let before = split_pairs(&behind, |first, second| {
        (is_stop(first) && !second.is_ascii_digit()).then_some([' ', first, ' ', second])
    });
    let dashes = split_pairs(&before, |first, second| {
        (first.is_ascii_digit() && second == '-').then_some([first, ' ', '-', ' '])
    });
    dashes.split_whitespace().map(str::to_owned).collect()
}

/// ASCII punctuation but the apostrophe, comma, dash and period.
fn stands_alone(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '\'' | ',' | '-' | '.')
}

/// Rewrites pairs of characters from left to right; a pair that was rewritten is behind, as with
/// regular expressions.
fn split_pairs(text: &str, rewrite: impl Fn(char, char) -> Option<[char; 4]>) -> String {
    let mut written = String::with_capacity(2 * text.len());
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match chars.peek().and_then(|&second| rewrite(first, second)) {
            Some(replacement) => {
                written.extend(replacement);
                chars.next();
            }
            None => written.push(first),
        }
    }
    written
}
