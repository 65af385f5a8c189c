//! A turn that says the opposite of a key fact.

use super::super::KeyFact;
use super::super::contents::{content_words, numbers, recall};
use super::{Action, Draft, Finding, Guard};

/// Share of a fact's words in a sentence that is about it.
const ABOUT: f64 = 0.7;

const NEGATIONS: [&str; 10] = [
    "not", "never", "no", "isn't", "aren't", "doesn't", "don't", "cannot", "can't", "without",
];

/// Rejects a teacher's turn with a sentence about a key fact that has other numbers, or a negation
/// that the fact does not have, or is one of the statements that the syllabus lists as wrong.
#[derive(Clone, Copy, Debug)]
pub struct Contradiction;

impl Guard for Contradiction {
    fn description(&self) -> String {
        "contradiction".into()
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        if !draft.is_by_teacher() {
            return None;
        }
        let facts = draft.syllabus.topics.iter().flat_map(|topic| &topic.facts);
        facts
            .flat_map(|fact| sentences(draft.text).map(move |sentence| (fact, sentence)))
            .find(|(fact, sentence)| contradicts(fact, sentence))
            .map(|(fact, sentence)| {
                draft.finding(
                    "contradiction",
                    Action::Reject,
                    format!("{:?} contradicts {:?}", sentence.trim(), fact.text),
                    format!(
                        "This is wrong: {:?}. Right is: {}",
                        sentence.trim(),
                        fact.text
                    ),
                )
            })
    }
}

/// Statements: clauses of sentences that are no questions.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    // A full stop or a comma between digits ends nothing.
    text.split_inclusive(['!', '?', '\n'])
        .flat_map(|part| part.split_inclusive(". "))
        .filter(|sentence| !sentence.trim_end().ends_with('?'))
        .flat_map(|sentence| sentence.split(", "))
        .flat_map(|clause| clause.split([';', ':']))
}

fn contradicts(fact: &KeyFact, sentence: &str) -> bool {
    let words = content_words(sentence);
    let states = |statement: &str| recall(&content_words(statement), &words) >= 1.0;
    if fact
        .contradictions
        .iter()
        .any(|wrong| states(wrong) && is_negated(wrong) == is_negated(sentence))
    {
        return true;
    }
    let (right, said) = (numbers(&fact.text), numbers(sentence));
    let about = {
        let mut about = content_words(&fact.text);
        about.retain(|word| !right.contains(word));
        !about.is_empty() && recall(&about, &words) >= ABOUT
    };
    let other_numbers = !right.is_empty() && !said.is_empty() && right.is_disjoint(&said);
    about && (other_numbers || is_negated(&fact.text) != is_negated(sentence))
}

fn is_negated(text: &str) -> bool {
    super::phrase_in(text, &NEGATIONS).is_some()
}
