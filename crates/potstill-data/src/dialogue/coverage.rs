//! Which key facts were told, and which a student has said back.
//!
//! A fact is told by a turn that has each group of its terms; without terms, by a turn with at least
//! [`ENOUGH`] of the words of its sentence that carry meaning and all of its numbers.

use serde::{Deserialize, Serialize};

use super::contents::{content_words, numbers, recall};
use super::{KeyFact, Part, Syllabus};

/// Share of a fact's words that tells it.
const ENOUGH: f64 = 0.6;

/// What became of a key fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactCoverage {
    /// The first turn of a teacher that tells it.
    pub told: Option<usize>,
    /// The first turn of a student, after it was told, that says it back.
    pub said_back: Option<usize>,
}

/// What became of each key fact, by the order of topics and facts in the syllabus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// For each topic, its facts.
    pub topics: Vec<Vec<FactCoverage>>,
}

impl Coverage {
    /// Nothing is covered yet.
    #[must_use]
    pub fn none(syllabus: &Syllabus) -> Self {
        let facts = |topic: &super::Topic| vec![FactCoverage::default(); topic.facts.len()];
        Self {
            topics: syllabus.topics.iter().map(facts).collect(),
        }
    }

    /// Share of the facts that were told, in `[0, 1]`.
    #[must_use]
    pub fn told(&self) -> f64 {
        self.share(|fact| fact.told.is_some())
    }

    /// Share of the facts that a student has said back.
    #[must_use]
    pub fn said_back(&self) -> f64 {
        self.share(|fact| fact.said_back.is_some())
    }

    fn share(&self, is: impl Fn(&FactCoverage) -> bool) -> f64 {
        let facts = self.topics.iter().flatten();
        let (all, covered) = facts.fold((0usize, 0usize), |(all, covered), fact| {
            (all + 1, covered + usize::from(is(fact)))
        });
        covered as f64 / all.max(1) as f64
    }

    /// Whether a topic needs no more words.
    pub(super) fn is_done(&self, topic: usize, must_be_said_back: bool) -> bool {
        let done = |fact: &FactCoverage| {
            fact.told.is_some() && (fact.said_back.is_some() || !must_be_said_back)
        };
        self.topics[topic].iter().all(done)
    }

    /// Notes what a turn covers, and whether that is anything new.
    pub(super) fn note(
        &mut self,
        syllabus: &Syllabus,
        turn: usize,
        part: Part,
        text: &str,
    ) -> bool {
        let mut progress = false;
        for (topic, facts) in syllabus.topics.iter().zip(&mut self.topics) {
            for (fact, covered) in topic.facts.iter().zip(facts) {
                let place = match part {
                    Part::Teacher => &mut covered.told,
                    Part::Student if covered.told.is_some() => &mut covered.said_back,
                    Part::Student => continue,
                };
                if place.is_none() && states(fact, text) {
                    *place = Some(turn);
                    progress = true;
                }
            }
        }
        progress
    }
}

/// Whether a text states a fact.
pub(super) fn states(fact: &KeyFact, text: &str) -> bool {
    let words = content_words(text);
    if fact.terms.is_empty() {
        let spoken = numbers(text);
        return recall(&content_words(&fact.text), &words) >= ENOUGH
            && numbers(&fact.text).is_subset(&spoken);
    }
    let lower = text.to_lowercase();
    fact.terms.iter().all(|group| {
        group
            .iter()
            .any(|term| lower.contains(&term.to_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(text: &str, terms: &[&[&str]]) -> KeyFact {
        KeyFact {
            id: "f".into(),
            text: text.into(),
            terms: terms
                .iter()
                .map(|group| group.iter().map(|term| (*term).into()).collect())
                .collect(),
            contradictions: Vec::new(),
        }
    }

    #[test]
    fn a_fact_may_be_told_in_other_words_but_not_with_other_numbers() {
        let fact = fact("The exchange opens at 9 o'clock in the morning.", &[]);
        assert!(states(
            &fact,
            "In the morning, at 9, the exchange is opening."
        ));
        assert!(!states(
            &fact,
            "In the morning, at 8, the exchange is opening."
        ));
        assert!(!states(&fact, "The weather is nice at 9."));
    }

    #[test]
    fn every_group_of_terms_has_to_be_said() {
        let fact = fact(
            "A dividend is paid from profit.",
            &[&["dividend"], &["profit", "earnings"]],
        );
        assert!(states(&fact, "Earnings feed the Dividends."));
        assert!(!states(&fact, "A dividend is nice."));
    }
}
