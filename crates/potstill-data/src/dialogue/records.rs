//! A transcript as training records.

use serde_json::{Map, json};

use super::lesson::alternating;
use super::{DialogueError, Part, Transcript};
use crate::{Content, Provenance, Record};

impl Transcript {
    /// A conversation for each teacher in which its turns are the model's: what a student that learns
    /// to answer as the teacher did is trained on, with the loss on the assistant.
    ///
    /// Conversations begin with the opening and end with a turn of the teacher. One of more than
    /// `most_turns` messages is cut in front of a message of the user, and every part keeps the
    /// system message; the parts name what they are parts of.
    ///
    /// Each record names every model that spoke, with its terms, as what it was made by: what a
    /// student said is the question that a teacher answers.
    ///
    /// # Errors
    ///
    /// When a turn is by nobody who takes part.
    ///
    /// # Panics
    ///
    /// Panics if `most_turns` is less than 2.
    pub fn records(
        &self,
        system: Option<&str>,
        opening: &str,
        most_turns: usize,
    ) -> Result<Vec<Record>, DialogueError> {
        assert!(
            most_turns >= 2,
            "a part needs a message of the user and an answer"
        );
        for (index, turn) in self.turns.iter().enumerate() {
            if !self
                .speakers
                .iter()
                .any(|speaker| speaker.name == turn.speaker)
            {
                return Err(DialogueError::UnknownSpeaker {
                    turn: index,
                    speaker: turn.speaker.clone(),
                });
            }
        }
        let teachers = self
            .speakers
            .iter()
            .filter(|speaker| speaker.part == Part::Teacher);
        let records = teachers.flat_map(|teacher| {
            let mut turns = vec![(false, opening.to_owned())];
            turns.extend(self.turns.iter().map(|turn| {
                let mine = turn.speaker == teacher.name;
                let text = if mine || self.speakers.len() == 2 {
                    turn.text.clone()
                } else {
                    format!("{}: {}", turn.speaker, turn.text)
                };
                (mine, text)
            }));
            let mut messages = alternating(turns);
            while messages
                .last()
                .is_some_and(|last| last.role != potstill_core::Role::Assistant)
            {
                messages.pop();
            }
            // Messages alternate and begin with the user's, so even cuts are in front of the user.
            let size = most_turns - most_turns % 2;
            let parts: Vec<_> = messages.chunks(size).map(<[_]>::to_vec).collect();
            let count = parts.len();
            parts
                .into_iter()
                .enumerate()
                .map(move |(part, part_messages)| {
                    let system = system.map(potstill_core::Message::system);
                    let messages = system.into_iter().chain(part_messages).collect();
                    let mut record: Record = Content::Messages(messages).into();
                    for provenance in self.provenance() {
                        record.add_provenance(&provenance);
                    }
                    record.id = Some(format!(
                        "{}-{}-{part}",
                        &self.lesson_sha256[..12],
                        teacher.name
                    ));
                    record.meta.insert(
                        "lesson".into(),
                        json!({
                            "sha256": self.lesson_sha256,
                            "title": self.title,
                            "teacher": teacher.model,
                            "part": part,
                            "parts": count,
                            "ending": self.ending,
                        }),
                    );
                    record
                })
        });
        Ok(records.collect())
    }

    /// Who made the records. The lesson as a whole stands for the requests.
    fn provenance(&self) -> impl Iterator<Item = Provenance> {
        let speaks = |name: &String| self.turns.iter().any(|turn| turn.speaker == *name);
        let speakers = self.speakers.iter();
        speakers
            .filter(move |speaker| speaks(&speaker.name))
            .map(|speaker| Provenance {
                model: speaker.model.clone(),
                terms: speaker.terms.clone(),
                template: match speaker.part {
                    Part::Teacher => "teacher".into(),
                    Part::Student => "student".into(),
                },
                template_sha256: speaker.prompt_sha256.clone(),
                request_sha256: self.lesson_sha256.clone(),
                time: self.began,
                parameters: Map::new(),
                seed_record: None,
            })
    }
}
