//! chrF and chrF++.
//!
//! ```text
//! chrF = 100 · (1 + β²) · P · R / (β² · P + R)     β = 2
//! ```
//!
//! `P` and `R` are means over the orders of n-grams: 1 to 6 of characters without white space, and for
//! chrF++ 1 and 2 of words.
//! Popović, *chrF*, WMT 2015 and *chrF++*, WMT 2017; the numbers are those of sacreBLEU with its
//! defaults.

use std::collections::HashMap;
use std::hash::Hash;
use std::iter::Sum;

use super::is_punctuation;
use super::ngrams::{ngrams, shared};

const CHARACTER_ORDERS: usize = 6;
const WORD_ORDERS: usize = 2;
const BETA_SQUARED: f64 = 4.0;

/// Whether words count beside characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChrfWords {
    /// chrF.
    Ignored,
    /// chrF++.
    Counted,
}

/// What chrF is computed from: the counts of a segment, or of several, which add up.
///
/// ```
/// use potstill_eval::{ChrfCounts, ChrfWords};
///
/// let counts = ChrfCounts::new("the cats", &["the cat"], ChrfWords::Ignored);
/// assert!(counts.score() > 80.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChrfCounts {
    orders: [Order; CHARACTER_ORDERS + WORD_ORDERS],
}

/// N-grams of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Order {
    candidate: u64,
    reference: u64,
    shared: u64,
}

impl ChrfCounts {
    /// The counts of a candidate with the reference that it scores best with.
    ///
    /// # Panics
    ///
    /// Panics if there is no reference.
    #[must_use]
    pub fn new(candidate: &str, references: &[&str], words: ChrfWords) -> Self {
        assert!(!references.is_empty(), "chrF needs a reference");
        let candidate = Segment::new(candidate);
        let mut best = (Self::default(), f64::NEG_INFINITY);
        for reference in references {
            let counts = Self::of_pair(&candidate, &Segment::new(reference), words);
            let score = counts.score();
            if score > best.1 {
                best = (counts, score);
            }
        }
        best.0
    }

    fn of_pair(candidate: &Segment<'_>, reference: &Segment<'_>, words: ChrfWords) -> Self {
        let mut counts = Self::default();
        for order in 0..CHARACTER_ORDERS {
            counts.orders[order] = Order::new(
                &ngrams(&candidate.characters, order + 1),
                &ngrams(&reference.characters, order + 1),
            );
        }
        if words == ChrfWords::Counted {
            for order in 0..WORD_ORDERS {
                counts.orders[CHARACTER_ORDERS + order] = Order::new(
                    &ngrams(&candidate.words, order + 1),
                    &ngrams(&reference.words, order + 1),
                );
            }
        }
        counts
    }

    /// chrF, from 0 to 100.
    #[must_use]
    pub fn score(&self) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for order in &self.orders {
            if order.candidate > 0 && order.reference > 0 {
                precision += order.shared as f64 / order.candidate as f64;
                recall += order.shared as f64 / order.reference as f64;
                orders += 1.0;
            }
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        100.0 * (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    }
}

impl Order {
    fn new<T: Eq + Hash>(candidate: &HashMap<&[T], u64>, reference: &HashMap<&[T], u64>) -> Self {
        let found = reference.values().sum();
        Self {
            // Without a reference of that length there is nothing to be right or wrong about.
            candidate: if found > 0 {
                candidate.values().sum()
            } else {
                0
            },
            reference: found,
            shared: shared(candidate, reference),
        }
    }
}

impl Sum for ChrfCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut total, counts| {
            for (total, order) in total.orders.iter_mut().zip(counts.orders) {
                total.candidate += order.candidate;
                total.reference += order.reference;
                total.shared += order.shared;
            }
            total
        })
    }
}

struct Segment<'a> {
    characters: Vec<char>,
    words: Vec<&'a str>,
}

impl<'a> Segment<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            words.extend(split_punctuation(word).into_iter().flatten());
        }
        Self {
            characters: text.chars().filter(|c| !c.is_whitespace()).collect(),
            words,
        }
    }
}

/// Punctuation at the end of a word, otherwise at its beginning, is a word of its own.
fn split_punctuation(word: &str) -> [Option<&str>; 2] {
    let mut chars = word.chars();
    let (first, last) = (chars.next(), chars.next_back());
    match (first, last) {
        (Some(_), Some(last)) if is_punctuation(last) => {
            let (rest, last) = word.split_at(word.len() - last.len_utf8());
            [Some(rest), Some(last)]
        }
        (Some(first), Some(_)) if is_punctuation(first) => {
            let (first, rest) = word.split_at(first.len_utf8());
            [Some(first), Some(rest)]
        }
        _ => [Some(word), None],
    }
}
