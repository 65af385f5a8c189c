//! ROUGE-N and ROUGE-L.
//!
//! ```text
//! P = shared / n-grams of the candidate     R = shared / n-grams of the reference     F = 2PR / (P + R)
//! ```
//!
//! For ROUGE-L, `shared` is the longest common subsequence of words, and n-grams are words.
//! Lin, *ROUGE*, 2004; the numbers are those of the `rouge_score` package without its stemmer, except
//! that letters of all scripts count.

use potstill_data::rouge_tokens;

use super::ngrams::{ngrams, shared};

/// How much a candidate and a reference share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rouge {
    /// Share of the candidate, in `[0, 1]`.
    pub precision: f64,
    /// Share of the reference, in `[0, 1]`.
    pub recall: f64,
    /// Their harmonic mean.
    pub f_measure: f64,
}

/// ROUGE of runs of `n` words.
///
/// # Panics
///
/// Panics if `n` is 0.
#[must_use]
pub fn rouge_n(reference: &str, candidate: &str, n: usize) -> Rouge {
    assert!(n > 0, "a run has at least one word");
    let (reference, candidate) = (rouge_tokens(reference), rouge_tokens(candidate));
    let (reference, candidate) = (ngrams(&reference, n), ngrams(&candidate, n));
    let total = |counts: &std::collections::HashMap<&[String], u64>| counts.values().sum::<u64>();
    let shared = shared(&reference, &candidate) as f64;
    let precision = shared / total(&candidate).max(1) as f64;
    let recall = shared / total(&reference).max(1) as f64;
    Rouge {
        precision,
        recall,
        f_measure: if shared > 0.0 {
            2.0 * precision * recall / (precision + recall)
        } else {
            0.0
        },
    }
}

/// ROUGE of the longest common subsequence.
#[must_use]
pub fn rouge_l(reference: &str, candidate: &str) -> Rouge {
    let found = potstill_data::rouge_l(&rouge_tokens(reference), &rouge_tokens(candidate));
    Rouge {
        precision: found.precision,
        recall: found.recall,
        f_measure: found.f_measure,
    }
}
