//! A speaker that plays the other part.

use super::{Action, Draft, Finding, Guard};

/// What only a teacher says.
const TEACHING: [&str; 8] = [
    "let me explain",
    "today we will learn",
    "your task is",
    "as your teacher",
    "in this lesson i will",
    "let me teach you",
    "can you tell me what you have learned",
    "now try to solve",
];

/// What only a student says.
const LEARNING: [&str; 8] = [
    "can you teach me",
    "could you teach me",
    "please teach me",
    "can you explain to me",
    "could you explain that to me",
    "i want to learn",
    "as your student",
    "thank you for teaching me",
];

/// Rejects turns that play the other part: a student that teaches, a teacher that asks to be taught,
/// or a speaker that also writes what another one says.
#[derive(Clone, Copy, Debug)]
pub struct RoleFlip;

impl Guard for RoleFlip {
    fn description(&self) -> String {
        "role-flip".into()
    }

    fn examine(&self, draft: &Draft<'_>) -> Option<Finding> {
        let speaker = &draft.speaker.name;
        if let Some(other) = spoken_for(draft) {
            return Some(draft.finding(
                "role-flip",
                Action::Reject,
                format!("{speaker} also writes what {other} says"),
                format!("Speak only for yourself, {speaker}. Do not write what {other} says."),
            ));
        }
        let (phrases, part) = if draft.is_by_teacher() {
            (
                &LEARNING,
                "You are the teacher: explain and ask, do not ask to be taught.",
            )
        } else {
            (
                &TEACHING,
                "You are the student: say what you have understood, and ask. Do not teach.",
            )
        };
        let phrase = super::phrase_in(draft.text, phrases)?;
        Some(draft.finding(
            "role-flip",
            Action::Reject,
            format!("{speaker} says {phrase:?}"),
            part.to_owned(),
        ))
    }
}

/// Another speaker, if the text has a line of theirs.
fn spoken_for(draft: &Draft<'_>) -> Option<String> {
    let parts = if draft.is_by_teacher() {
        ["student", "user"]
    } else {
        ["teacher", "assistant"]
    };
    let names = draft
        .speakers
        .iter()
        .map(|speaker| speaker.name.as_str())
        .filter(|name| *name != draft.speaker.name);
    let names: Vec<&str> = names.chain(parts).collect();
    draft.text.lines().skip(1).find_map(|line| {
        let line = line.trim_start_matches(['*', '#', ' ']).to_lowercase();
        let names_whom = |name: &&&str| {
            line.strip_prefix(&name.to_lowercase())
                .is_some_and(|rest| rest.trim_start_matches('*').starts_with(':'))
        };
        names.iter().find(names_whom).map(|name| (*name).to_owned())
    })
}
