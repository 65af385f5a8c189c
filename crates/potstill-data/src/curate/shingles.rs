//! A text as a set of overlapping pieces.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::words::Words;

/// The pieces of which two texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shingles {
    /// So many words in a row, in lower case. For texts of sentences.
    Words(usize),
    /// So many characters in a row, runs of white space as one. For short texts, and for scripts
    /// without spaces.
    Characters(usize),
}

impl Shingles {
    /// Hashes of the pieces of a text, each once, ascending. A text with fewer words or characters
    /// than a piece is one piece; one without any has none.
    #[must_use]
    pub fn hashes(&self, text: &str) -> Vec<u64> {
        let mut hashes: Vec<u64> = match *self {
            Self::Words(size) => {
                let words = Words::of(text);
                let size = size.clamp(1, words.len().max(1));
                words.runs(size).map(hash).collect()
            }
            Self::Characters(size) => {
                let text = text.to_lowercase();
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let mut bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                let size = size.clamp(1, bounds.len().max(1));
                bounds.push(text.len());
                let pieces = bounds.windows(size + 1);
                pieces.map(|run| hash(&text[run[0]..run[size]])).collect()
            }
        };
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }
}

fn hash(piece: &str) -> u64 {
    xxh3_64(piece.as_bytes())
}

/// Share of the pieces of two texts that both have (Jaccard), from ascending hashes; 1 for two texts
/// without pieces.
pub(crate) fn jaccard<T: Ord>(a: &[T], b: &[T]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    let union = a.len() + b.len() - common;
    if union == 0 {
        1.0
    } else {
        common as f64 / union as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spacing_make_no_other_words() {
        let words = Shingles::Words(2);
        assert_eq!(words.hashes("The cat,  sat."), words.hashes("the CAT sat"));
        assert_eq!(words.hashes("the cat sat").len(), 2);
    }

    #[test]
    fn short_texts_are_one_piece_and_empty_ones_none() {
        for shingles in [Shingles::Words(5), Shingles::Characters(9)] {
            assert_eq!(shingles.hashes("hi").len(), 1);
            assert_eq!(shingles.hashes(" \n").len(), 0);
        }
    }

    #[test]
    fn the_overlap_is_counted() {
        assert_eq!(jaccard(&[1, 2, 3], &[2, 3, 4, 5]), 2.0 / 5.0);
        assert_eq!(jaccard::<u32>(&[], &[]), 1.0);
        assert_eq!(jaccard(&[], &[1]), 0.0);
    }
}
