//! The task: adding two numbers of up to three digits, written out as text.

use std::collections::HashSet;
use std::fmt;

use potstill::core::SpecialTokens;
use potstill::data::{Error, TextTokenizer};
use rand::{Rng, RngExt};
use serde_json::json;

/// Largest summand.
pub const LARGEST: u32 = 999;

/// One problem in this many is held out: no model ever trains on it.
const HELD_OUT_SHARE: u64 = 20;

/// `a + b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// First summand.
    pub a: u32,
    /// Second summand.
    pub b: u32,
}

impl Problem {
    /// The problem of a question such as `12+345=`, if it is one.
    #[must_use]
    pub fn parse(question: &str) -> Option<Self> {
        let (a, b) = question.strip_suffix('=')?.split_once('+')?;
        let summand = |text: &str| {
            let value: u32 = text.parse().ok()?;
            // Signs and leading zeros parse as well, but are not how the task writes numbers.
            (value <= LARGEST && value.to_string() == text).then_some(value)
        };
        Some(Self {
            a: summand(a)?,
            b: summand(b)?,
        })
    }

    /// What follows the question.
    #[must_use]
    pub fn answer(self) -> String {
        (self.a + self.b).to_string()
    }

    /// Whether the problem is kept for the final examination.
    ///
    /// Decided by the problem alone, so that every program agrees on it.
    #[must_use]
    pub fn is_held_out(self) -> bool {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
        let mut hash =
            u64::from(self.a * (LARGEST + 1) + self.b).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ (hash >> 31)).is_multiple_of(HELD_OUT_SHARE)
    }

    /// `count` different problems, all held out or none.
    pub fn draw_distinct(count: usize, held_out: bool, rng: &mut impl Rng) -> Vec<Self> {
        let mut seen = HashSet::with_capacity(count);
        let mut problems = Vec::with_capacity(count);
        while problems.len() < count {
            let problem = Self {
                a: rng.random_range(0..=LARGEST),
                b: rng.random_range(0..=LARGEST),
            };
            if problem.is_held_out() == held_out && seen.insert(problem) {
                problems.push(problem);
            }
        }
        problems
    }
}

/// The question, as the models read it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}=", self.a, self.b)
    }
}

/// The tokens of the task: four special ones, the digits, plus and equals.
pub const TOKENS: [&str; 16] = [
    "<pad>", "<bos>", "<eos>", "<unk>", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "+", "=",
];

/// The tokenizer of the task: one token a character.
///
/// # Errors
///
/// Never, unless the `tokenizers` crate no longer reads what [`tokenizer_json`] writes.
pub fn tokenizer() -> Result<TextTokenizer, Error> {
    let [pad, bos, eos, unk] = [0, 1, 2, 3].map(|id| Some(TOKENS[id].to_owned()));
    TextTokenizer::from_json(&tokenizer_json())?.with_special_tokens(SpecialTokens {
        bos,
        eos,
        pad,
        unk,
    })
}

/// A `tokenizer.json` with one token a character, as byte-level BPE without any merge, which every
/// program knows that loads models.
#[must_use]
pub fn tokenizer_json() -> String {
    let special: Vec<_> = TOKENS[..4]
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({
                "id": id, "content": token, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false
            })
        })
        .collect();
    let vocabulary: serde_json::Map<_, _> = TOKENS
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true
    });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special,
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": null,
        "decoder": bytes,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "<unk>" }
    });
    format!("{tokenizer:#}\n")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_question_parses_back() {
        let problem = Problem { a: 7, b: 960 };
        assert_eq!(problem.to_string(), "7+960=");
        assert_eq!(Problem::parse("7+960="), Some(problem));
        assert_eq!(problem.answer(), "967");
    }

    #[test]
    fn what_is_not_a_question_is_refused() {
        for text in [
            "", "7+960", "07+1=", "1+1000=", "+1+2=", "1+=", "1+2=3", "1+2+3=", "-1+2=",
        ] {
            assert_eq!(Problem::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_character_is_a_token_and_the_teacher_comes_with_the_same_tokenizer() {
        let tokenizer = tokenizer().unwrap();
        let text = "<bos>12+3450=6789<eos>";
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(ids, [1, 5, 6, 14, 7, 8, 9, 4, 15, 10, 11, 12, 13, 2]);
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        assert_eq!(tokenizer.encode("1a", false).unwrap(), [5, 3]);
        let shipped = crate::teacher_folder().join("tokenizer.json");
        assert_eq!(std::fs::read_to_string(shipped).unwrap(), tokenizer_json());
    }

    #[test]
    fn one_problem_in_twenty_is_held_out() {
        let all = (0..=LARGEST).flat_map(|a| (0..=LARGEST).map(move |b| Problem { a, b }));
        let share = all.filter(|problem| problem.is_held_out()).count() as f64 / 1e6;
        assert!((share - 0.05).abs() < 0.001, "{share}");
    }

    #[test]
    fn training_and_examination_never_meet() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let training = Problem::draw_distinct(2000, false, &mut rng);
        let examination = Problem::draw_distinct(500, true, &mut rng);
        let training: HashSet<_> = training.into_iter().collect();
        assert_eq!(training.len(), 2000);
        assert!(
            examination
                .iter()
                .all(|problem| !training.contains(problem))
        );
    }
}
