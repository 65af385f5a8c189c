//! A lesson that has left its topic.

use std::collections::BTreeSet;

use super::super::contents::content_words;
use super::super::{Part, Topic};
use super::{Action, Draft, Finding, Guard};

/// Warns when a teacher has lost the topic: its last turns have covered nothing new, or the turn
/// shares hardly a word with the topic.
#[derive(Clone, Copy, Debug)]
pub struct Meandering {
    /// Turns of teachers without a new key fact that are let pass.
    pub idle: usize,
    /// Smallest share of a turn's meaningful words that belong to the topic, in `[0, 1]`.
    pub least: f64,
}

impl Default for Meandering {
    fn default() -> Self {
        Self {
            idle: 2,
            least: 0.05,
        }
    }
}

impl Guard for Meandering {
    fn description(&self) -> String {
        format!("meandering {} {}", self.idle, self.least)
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        if !draft.is_by_teacher() {
            return None;
        }
        let topic = &draft.syllabus.topics[draft.topic];
        let words = content_words(draft.text);
        let common = words.intersection(&vocabulary(topic)).count() as f64;
        let share = common / words.len().max(1) as f64;
        let message = if share < self.least {
            format!(
                "{:.0} % of the turn's words belong to the topic",
                share * 100.0
            )
        } else {
            let idle = idle_turns(draft);
            if idle < self.idle {
                return None;
            }
            format!("{idle} turns of teachers have told no new key fact")
        };
        let correction = format!("Come back to the topic: {}.", topic.title);
        Some(draft.finding("meandering", Action::Warn, message, correction))
    }
}

fn vocabulary(topic: &Topic) -> BTreeSet<String> {
    let facts = topic.facts.iter().flat_map(|fact| {
        let terms = fact.terms.iter().flatten().map(String::as_str);
        std::iter::once(fact.text.as_str()).chain(terms)
    });
    facts
        .chain([topic.title.as_str()])
        .flat_map(content_words)
        .collect()
}

/// Turns of teachers, up to the last one, after which the share of told facts has not grown.
fn idle_turns(draft: &Draft<'_>) -> usize {
    let told: Vec<f64> = draft
        .turns
        .iter()
        .filter(|turn| turn.part == Part::Teacher)
        .map(|turn| turn.told)
        .collect();
    let last = told.last().copied().unwrap_or(0.0);
    // The turn that first reached this share has told something.
    told.iter()
        .rev()
        .take_while(|share| **share == last)
        .count()
        .saturating_sub(usize::from(last > 0.0))
}
