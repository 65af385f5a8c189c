//! The subject: sums of two numbers of two digits.

use std::fmt;

use potstill::data::{Answer, Question, Syllabus};
use rand::{Rng, RngExt};

/// One sum in this many is held out: no teacher ever speaks of it.
const HELD_OUT_SHARE: u64 = 5;

/// Two numbers from 10 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    a: u32,
    b: u32,
}

impl Sum {
    /// A sum that is kept for the quiz, or one that is not.
    pub(crate) fn draw(held_out: bool, rng: &mut impl Rng) -> Self {
        loop {
            let sum = Self {
                a: rng.random_range(10..=99),
                b: rng.random_range(10..=99),
            };
            if sum.is_held_out() == held_out {
                return sum;
            }
        }
    }

    fn is_held_out(self) -> bool {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
        let mut hash = u64::from(self.a * 100 + self.b).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ (hash >> 31)).is_multiple_of(HELD_OUT_SHARE)
    }

    pub(crate) fn value(self) -> u32 {
        self.a + self.b
    }

    pub(crate) fn question(self) -> String {
        format!("What is {self}?")
    }

    /// The sum step by step.
    pub(crate) fn worked(self) -> String {
        let (ones, tens) = ((self.a % 10, self.b % 10), (self.a / 10, self.b / 10));
        let ones_sum = ones.0 + ones.1;
        let tens = if ones_sum < 10 {
            format!("{}+{}={}", tens.0, tens.1, tens.0 + tens.1)
        } else {
            format!("{}+{}+1={}", tens.0, tens.1, tens.0 + tens.1 + 1)
        };
        format!(
            "{}+{}={ones_sum}, {tens}, so {self}={}.",
            ones.0,
            ones.1,
            self.value()
        )
    }

    /// What somebody asks last.
    pub(crate) fn asked_in(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once("What is ")?;
        Self::parse(rest.split_once('?')?.0)
    }

    /// What a text says this sum is.
    pub(crate) fn claimed_in(self, text: &str) -> Option<u32> {
        let (_, rest) = text.rsplit_once(&format!("{self}="))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// A sum that a text claims to know, and the claim.
    pub(crate) fn claim_in(text: &str) -> Option<(Self, u32)> {
        let (_, rest) = text.split_once("I say ")?;
        let sum = Self::parse(rest.split_once('=')?.0)?;
        Some((sum, sum.claimed_in(text)?))
    }

    fn parse(text: &str) -> Option<Self> {
        let (a, b) = text.split_once('+')?;
        let number = |text: &str| text.parse().ok().filter(|n| (10..=99).contains(n));
        Some(Self {
            a: number(a)?,
            b: number(b)?,
        })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.a, self.b)
    }
}

/// What the last thing of a right answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grading {
    /// The answer says the whole equation: who has learned from the expert goes on talking after it.
    Equation,
    /// The last number of the answer counts.
    LastNumber,
}

/// The syllabus of the lessons, with a quiz of held-out sums.
pub(crate) fn syllabus(
    questions: usize,
    grading: Grading,
    rng: &mut impl Rng,
) -> anyhow::Result<Syllabus> {
    let mut syllabus = Syllabus::from_toml(include_str!("../data/addition.toml"), "addition.toml")?;
    let mut sums: Vec<Sum> = Vec::new();
    while sums.len() < questions {
        let sum = Sum::draw(true, rng);
        if !sums.contains(&sum) {
            sums.push(sum);
        }
    }
    syllabus.quiz = sums
        .into_iter()
        .map(|sum| Question {
            id: sum.to_string(),
            topic: "tens".into(),
            prompt: sum.question(),
            answer: match grading {
                Grading::Equation => Answer::Text {
                    accepted: vec![format!("{sum}={}", sum.value())],
                },
                Grading::LastNumber => Answer::Number {
                    value: f64::from(sum.value()),
                    tolerance: 0.0,
                },
            },
        })
        .collect();
    syllabus.validate()?;
    Ok(syllabus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_worked_out_with_its_carry() {
        let worked = |a, b| Sum { a, b }.worked();
        assert_eq!(worked(46, 27), "6+7=13, 4+2+1=7, so 46+27=73.");
        assert_eq!(worked(52, 17), "2+7=9, 5+1=6, so 52+17=69.");
        assert_eq!(worked(99, 99), "9+9=18, 9+9+1=19, so 99+99=198.");
    }

    #[test]
    fn questions_and_claims_are_read() {
        let text = "Add the ones first. I say 46+27=72. What is 50+11?";
        let sum = Sum { a: 46, b: 27 };
        assert_eq!(Sum::claim_in(text), Some((sum, 72)));
        assert_eq!(Sum::asked_in(text), Some(Sum { a: 50, b: 11 }));
        assert_eq!(sum.claimed_in(&sum.worked()), Some(73));
        for text in [
            "",
            "What is love?",
            "What is 1+2?",
            "I say nothing.",
            "I say 1=1",
        ] {
            assert_eq!(
                (Sum::asked_in(text), Sum::claim_in(text)),
                (None, None),
                "{text}"
            );
        }
    }

    #[test]
    fn a_fifth_is_held_out() {
        let all = (10..100).flat_map(|a| (10..100).map(move |b| Sum { a, b }));
        let share = all.filter(|sum| sum.is_held_out()).count() as f64 / 8100.0;
        assert!((share - 0.2).abs() < 0.02, "{share}");
    }
}
