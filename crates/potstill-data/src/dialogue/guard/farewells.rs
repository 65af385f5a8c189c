//! Speakers that thank each other and do not stop.

use super::{Action, Draft, Finding, Guard};

const FAREWELLS: [&str; 12] = [
    "thank you",
    "thanks",
    "you're welcome",
    "you are welcome",
    "goodbye",
    "good bye",
    "bye",
    "have a great day",
    "have a nice day",
    "see you",
    "my pleasure",
    "glad i could help",
];

/// Longest farewell in words: a longer turn says something besides.
const SHORT: usize = 40;

/// Rejects a polite turn after so many polite turns in a row that say and ask nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Farewells {
    /// Polite turns in a row that are let pass.
    pub most: usize,
}

impl Default for Farewells {
    fn default() -> Self {
        Self { most: 1 }
    }
}

impl Guard for Farewells {
    fn description(&self) -> String {
        format!("farewells {}", self.most)
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        if !is_farewell(draft.text) {
            return None;
        }
        let before = draft
            .turns
            .iter()
            .rev()
            .take_while(|turn| is_farewell(&turn.text))
            .count();
        (before >= self.most).then(|| {
            draft.finding(
                "farewells",
                Action::Reject,
                format!("{} turns in a row only thank or say goodbye", before + 1),
                "The lesson is not over. No more thanks or goodbyes: go on with the topic.".into(),
            )
        })
    }
}

fn is_farewell(text: &str) -> bool {
    !text.contains('?')
        && text.split_whitespace().count() <= SHORT
        && super::phrase_in(text, &FAREWELLS).is_some()
}
