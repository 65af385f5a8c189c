//! ROUGE-L, the longest common subsequence of two texts (Lin, 2004).
//!
//! ```text
//! p = LCS / tokens of the candidate     r = LCS / tokens of the reference     F = 2 p r / (p + r)
//! ```
//!
//! As the `rouge_score` package computes it, without its stemmer.

/// How much a candidate and a reference share, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RougeL {
    /// Share of the candidate's tokens, in `[0, 1]`.
    pub precision: f64,
    /// Share of the reference's tokens, in `[0, 1]`.
    pub recall: f64,
    /// Their harmonic mean.
    pub f_measure: f64,
}

/// Lower-case words of letters and digits.
///
/// `rouge_score` knows ASCII only, so that it sees nothing of a text in another script; here every
/// letter counts, which changes nothing for ASCII.
#[must_use]
pub fn rouge_tokens(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// ROUGE-L of two token sequences; 0 if one is empty.
#[must_use]
pub fn rouge_l<T: PartialEq>(reference: &[T], candidate: &[T]) -> RougeL {
    if reference.is_empty() || candidate.is_empty() {
        return RougeL::default();
    }
    let common = longest_common_subsequence(reference, candidate) as f64;
    let (precision, recall) = (
        common / candidate.len() as f64,
        common / reference.len() as f64,
    );
    let f_measure = if common == 0.0 {
        0.0
    } else {
        2.0 * precision * recall / (precision + recall)
    };
    RougeL {
        precision,
        recall,
        f_measure,
    }
}

fn longest_common_subsequence<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // `row[j]` is the length for all of `a` so far and the first `j` of `b`.
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y {
                diagonal + 1
            } else {
                above.max(row[j])
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rouge_scorer.RougeScorer(["rougeL"]).score(reference, candidate)` of `rouge_score` 0.1.2:
    /// reference, candidate, precision, recall, F.
    const RECORDED: &str = include_str!("../../tests/fixtures/rouge_l.json");

    #[test]
    fn agrees_with_the_package_of_the_paper() {
        let cases: Vec<(String, String, f64, f64, f64)> = serde_json::from_str(RECORDED).unwrap();
        assert!(cases.len() >= 30);
        for (reference, candidate, precision, recall, f_measure) in cases {
            let found = rouge_l(&rouge_tokens(&reference), &rouge_tokens(&candidate));
            let differences = [
                found.precision - precision,
                found.recall - recall,
                found.f_measure - f_measure,
            ];
            assert!(
                differences
                    .iter()
                    .all(|difference| difference.abs() < 1e-12),
                "{reference:?} {candidate:?}: {found:?}"
            );
        }
    }

    #[test]
    fn every_script_counts() {
        let (a, b) = (
            rouge_tokens("ÄPFEL und Бананы"),
            rouge_tokens("äpfel oder бананы"),
        );
        assert_eq!(rouge_l(&a, &b).f_measure, 2.0 / 3.0);
    }
}
