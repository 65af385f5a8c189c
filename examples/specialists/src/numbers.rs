//! The task: reading numbers that are spelled out, in English or in German.

use potstill::core::{SpecialTokens, TokenRow};
use potstill::data::{Error, TextTokenizer};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Numbers that are spelled.
pub(crate) const NUMBERS: u32 = 1000;

/// One number in this many is held out: no model ever trains on it.
const HELD_OUT: u32 = 5;

/// A language, and the half of the task that a specialist in it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
}

impl Language {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its ISO 639-3 code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "eng",
            Self::German => "deu",
        }
    }

    fn spelled(self, number: u32) -> String {
        match self {
            Self::English => english(number),
            Self::German => german(number),
        }
    }

    /// What is asked about a number.
    pub(crate) fn question(self, number: u32) -> String {
        let number = self.spelled(number);
        match self {
            Self::English => format!("what is {number}?"),
            Self::German => format!("was ist {number}?"),
        }
    }

    /// Question and answer as a training row of which the answer and the end count.
    pub(crate) fn row(self, tokenizer: &TextTokenizer, number: u32) -> Result<TokenRow, Error> {
        let question = tokenizer.encode(&format!("<bos>{}", self.question(number)), false)?;
        let answer = tokenizer.encode(&format!("{number}<eos>"), false)?;
        let weights = [vec![0.0; question.len()], vec![1.0; answer.len()]].concat();
        Ok(TokenRow::document(&[question, answer].concat(), &weights))
    }
}

/// The numbers that models train on, and those that they never see.
pub(crate) fn split(seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut numbers: Vec<u32> = (0..NUMBERS).collect();
    numbers.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let held_out = numbers.split_off((NUMBERS - NUMBERS / HELD_OUT) as usize);
    (numbers, held_out)
}

const ENGLISH: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const ENGLISH_TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

fn english(number: u32) -> String {
    match (number / 100, number % 100) {
        (0, rest @ 0..20) => ENGLISH[rest as usize].to_owned(),
        (0, rest) => {
            let tens = ENGLISH_TENS[rest as usize / 10 - 2];
            match rest % 10 {
                0 => tens.to_owned(),
                ones => format!("{tens}-{}", ENGLISH[ones as usize]),
            }
        }
        (hundreds, 0) => format!("{} hundred", english(hundreds)),
        (hundreds, rest) => format!("{} hundred and {}", english(hundreds), english(rest)),
    }
}

const GERMAN: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const GERMAN_TENS: [&str; 8] = [
    "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

fn german(number: u32) -> String {
    // "eins" by itself, "ein" before anything else.
    let short = |digit: u32| match digit {
        1 => "ein".to_owned(),
        _ => german(digit),
    };
    match (number / 100, number % 100) {
        (0, rest @ 0..20) => GERMAN[rest as usize].to_owned(),
        (0, rest) => {
            let tens = GERMAN_TENS[rest as usize / 10 - 2];
            match rest % 10 {
                0 => tens.to_owned(),
                ones => format!("{}und{tens}", short(ones)),
            }
        }
        (hundreds, 0) => format!("{}hundert", short(hundreds)),
        (hundreds, rest) => format!("{}hundert{}", short(hundreds), german(rest)),
    }
}

/// A tokenizer with one token a character.
pub(crate) fn tokenizer() -> Result<TextTokenizer, Error> {
    let specials = ["<pad>", "<bos>", "<eos>", "<unk>"];
    let letters = ('a'..='z')
        .chain('0'..='9')
        .chain(['ß', 'ä', 'ö', 'ü', ' ', '-', '?']);
    let tokens = specials
        .map(str::to_owned)
        .into_iter()
        .chain(letters.map(String::from));
    let vocabulary: Map<String, Value> = tokens
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({
                "id": id, "content": token, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false
            })
        })
        .collect();
    let definition = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split", "pattern": { "Regex": "." }, "behavior": "Isolated", "invert": false
        },
        "post_processor": null, "decoder": { "type": "Fuse" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" }
    });
    let [pad, bos, eos, unk] = specials.map(|token| Some(token.to_owned()));
    TextTokenizer::from_json(&definition.to_string())?.with_special_tokens(SpecialTokens {
        bos,
        eos,
        pad,
        unk,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_people_do() {
        for (number, english, german) in [
            (0, "zero", "null"),
            (1, "one", "eins"),
            (21, "twenty-one", "einundzwanzig"),
            (116, "one hundred and sixteen", "einhundertsechzehn"),
            (201, "two hundred and one", "zweihunderteins"),
            (
                345,
                "three hundred and forty-five",
                "dreihundertfünfundvierzig",
            ),
            (700, "seven hundred", "siebenhundert"),
            (930, "nine hundred and thirty", "neunhundertdreißig"),
        ] {
            assert_eq!(Language::English.spelled(number), english);
            assert_eq!(Language::German.spelled(number), german);
        }
    }

    #[test]
    fn every_question_has_a_token_for_each_character() {
        let tokenizer = tokenizer().unwrap();
        let unknown = tokenizer.token_id("<unk>").unwrap();
        for language in Language::ALL {
            for number in 0..NUMBERS {
                let row = language.row(&tokenizer, number).unwrap();
                assert!(
                    !row.tokens().contains(&unknown),
                    "{}",
                    language.question(number)
                );
            }
        }
    }

    #[test]
    fn no_number_is_on_both_sides() {
        let (train, held_out) = split(1);
        assert_eq!((train.len(), held_out.len()), (800, 200));
        assert!(held_out.iter().all(|number| !train.contains(number)));
    }
}
