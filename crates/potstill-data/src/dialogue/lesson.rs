//! A lesson, turn by turn.

use std::fs;
use std::path::Path;

use potstill_core::{ChatFinish, ChatReply};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::transcript::SCHEMA;
use super::{
    Action, Coverage, DialogueError, DialoguePrompts, Draft, Finding, Guard, Part, RejectedTurn,
    Speaker, Syllabus, Transcript, Turn, default_guards,
};

mod asking;
mod ending;
mod options;
mod participant;
mod saving;

pub use options::{LessonOptions, Limits};
pub use participant::Participant;

pub(super) use asking::alternating;
use saving::{io, save};

/// Participants, a syllabus and rules.
///
/// A round is one turn of a teacher and one of each student. Of several teachers, the next one in
/// line speaks that teaches the topic.
#[derive(Debug)]
pub struct Lesson {
    syllabus: Syllabus,
    order: Vec<usize>,
    participants: Vec<Participant>,
    speakers: Vec<Speaker>,
    prompts: DialoguePrompts,
    guards: Vec<Box<dyn Guard>>,
    options: LessonOptions,
}

impl Lesson {
    /// A lesson with the default prompts and guards.
    ///
    /// # Errors
    ///
    /// When nobody teaches or learns, names are used twice, or the syllabus cannot be taught.
    pub fn new(
        syllabus: Syllabus,
        participants: Vec<Participant>,
        options: LessonOptions,
    ) -> Result<Self, DialogueError> {
        let refused = |problem: super::SyllabusProblem| DialogueError::Syllabus {
            origin: format!("{:?}", syllabus.title),
            problem: problem.to_string(),
        };
        syllabus.validate().map_err(refused)?;
        let order = syllabus.order().map_err(refused)?;
        let count = |part| participants.iter().filter(|one| one.part == part).count();
        let (teachers, students) = (count(Part::Teacher), count(Part::Student));
        if teachers == 0 || students == 0 {
            return Err(DialogueError::Participants { teachers, students });
        }
        let mut names: Vec<&str> = participants.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DialogueError::SameName(pair[0].to_owned()));
        }
        if let Some(limit) = options.limits.cost
            && let Some(one) = participants.iter().find(|one| one.price.is_none())
        {
            return Err(DialogueError::NoPrice {
                limit,
                speaker: one.name.clone(),
            });
        }
        let prompts = DialoguePrompts::default();
        Ok(Self {
            syllabus,
            order,
            speakers: speakers(&participants, &prompts),
            participants,
            prompts,
            guards: default_guards(),
            options,
        })
    }

    /// Other prompts.
    #[must_use]
    pub fn with_prompts(mut self, prompts: DialoguePrompts) -> Self {
        self.speakers = speakers(&self.participants, &prompts);
        self.prompts = prompts;
        self
    }

    /// Other guards.
    #[must_use]
    pub fn with_guards(mut self, guards: Vec<Box<dyn Guard>>) -> Self {
        self.guards = guards;
        self
    }

    /// Holds the lesson from its beginning to its end.
    ///
    /// # Errors
    ///
    /// When a participant does not answer or a prompt cannot be rendered.
    pub fn hold(&self) -> Result<Transcript, DialogueError> {
        let mut transcript = self.begin();
        while transcript.ending.is_none() {
            self.next_turn(&mut transcript, |_| Ok(()))?;
        }
        Ok(transcript)
    }

    /// As [`hold`](Self::hold), saving the transcript after everything that is said, whether it stays
    /// or not, and going on from a saved one. `observe` sees it after every turn.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold), when the file cannot be read or written, and when it holds another
    /// lesson.
    pub fn hold_in(
        &self,
        path: impl AsRef<Path>,
        mut observe: impl FnMut(&Transcript),
    ) -> Result<Transcript, DialogueError> {
        let path = path.as_ref();
        let mut transcript = self.load(path)?;
        while transcript.ending.is_none() {
            self.next_turn(&mut transcript, |so_far| save(so_far, path))?;
            save(&transcript, path)?;
            observe(&transcript);
        }
        Ok(transcript)
    }

    fn begin(&self) -> Transcript {
        Transcript {
            schema: SCHEMA.to_owned(),
            lesson_sha256: self.sha256(),
            title: self.syllabus.title.clone(),
            began: (self.options.clock)(),
            speakers: self.speakers.clone(),
            turns: Vec::new(),
            rejected: Vec::new(),
            coverage: Coverage::none(&self.syllabus),
            ending: None,
            pending: Vec::new(),
        }
    }

    fn load(&self, path: &Path) -> Result<Transcript, DialogueError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self.begin()),
            text => text.map_err(io("read", path))?,
        };
        let transcript: Transcript =
            serde_json::from_slice(&text).map_err(|source| DialogueError::Transcript {
                path: path.to_owned(),
                source,
            })?;
        if transcript.lesson_sha256 != self.sha256() {
            return Err(DialogueError::OtherLesson {
                path: path.to_owned(),
            });
        }
        Ok(transcript)
    }

    /// SHA-256 of everything that changes what is said and when it ends. The clock does not.
    fn sha256(&self) -> String {
        let participants: Vec<_> = self
            .participants
            .iter()
            .map(|one| {
                let model = one.model.name();
                json!([
                    one.name, one.part, model, one.style, one.topics, one.terms, one.price
                ])
            })
            .collect();
        let guards: Vec<String> = self
            .guards
            .iter()
            .map(|guard| guard.description())
            .collect();
        let options = &self.options;
        let all = json!({
            "schema": SCHEMA,
            "syllabus": self.syllabus,
            "participants": participants,
            "prompts": self.prompts.sha256(),
            "guards": guards,
            "limits": format!("{:?}", options.limits),
            "sampling": format!("{:?}", options.sampling),
            "seed": options.seed,
            "patience": options.patience,
            "must_be_said_back": options.must_be_said_back,
            "log_probs": options.log_probs,
        });
        Sha256::digest(all.to_string())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// One turn that stays, or the ending. `keep` has the transcript after every attempt that does
    /// not stay.
    ///
    /// Everything is decided by the transcript, between attempts as between turns: a lesson that is
    /// killed goes on as if it had not been.
    fn next_turn(
        &self,
        transcript: &mut Transcript,
        keep: impl Fn(&Transcript) -> Result<(), DialogueError>,
    ) -> Result<(), DialogueError> {
        loop {
            if let Some(ending) = self.ending(transcript) {
                transcript.ending = Some(ending);
                return Ok(());
            }
            let last = transcript
                .turns
                .last()
                .map_or(self.order[0], |turn| turn.topic);
            let topic = self.topic(&transcript.coverage).unwrap_or(last);
            let index = self.next_speaker(transcript, topic);
            let number = transcript.turns.len();
            let mut corrections = Vec::new();
            if self.speakers[index].part == Part::Teacher {
                corrections.clone_from(&transcript.pending);
            }
            let said_again = transcript.rejected_at(number);
            corrections.extend(said_again.map(|rejected| rejected.finding.correction.clone()));
            let attempt = transcript.rejected_at(number).count();
            let reply = self.ask(transcript, index, topic, &corrections, attempt)?;
            let text = reply.text.trim();
            let findings = self.findings(transcript, index, topic, text, &reply);
            let rejection = findings
                .iter()
                .find(|finding| finding.action == Action::Reject);
            let Some(finding) = rejection else {
                self.accept(transcript, index, topic, &reply, findings);
                return Ok(());
            };
            transcript.rejected.push(RejectedTurn {
                turn: number,
                speaker: self.speakers[index].name.clone(),
                text: text.to_owned(),
                usage: reply.usage,
                finding: finding.clone(),
            });
            keep(transcript)?;
        }
    }

    /// Turns of a round: a teacher and every student.
    fn round(&self) -> usize {
        1 + self
            .speakers
            .iter()
            .filter(|speaker| speaker.part == Part::Student)
            .count()
    }

    fn next_speaker(&self, transcript: &Transcript, topic: usize) -> usize {
        let of_part = |part: Part| -> Vec<usize> {
            (0..self.speakers.len())
                .filter(|&index| self.speakers[index].part == part)
                .collect()
        };
        let (round, place) = (
            transcript.turns.len() / self.round(),
            transcript.turns.len() % self.round(),
        );
        if place > 0 {
            return of_part(Part::Student)[place - 1];
        }
        let teachers = of_part(Part::Teacher);
        let id = &self.syllabus.topics[topic].id;
        let teaches = |index: &usize| {
            let topics = self.participants[*index].topics.as_ref();
            topics.is_none_or(|topics| topics.contains(id))
        };
        let able: Vec<usize> = teachers.iter().copied().filter(teaches).collect();
        let able = if able.is_empty() { teachers } else { able };
        able[round % able.len()]
    }

    fn findings(
        &self,
        transcript: &Transcript,
        index: usize,
        topic: usize,
        text: &str,
        reply: &ChatReply,
    ) -> Vec<Finding> {
        let draft = Draft {
            text,
            cut_off: reply.finish == ChatFinish::Length,
            tokens: reply.tokens.as_deref(),
            speaker: &self.speakers[index],
            speakers: &self.speakers,
            turns: &transcript.turns,
            syllabus: &self.syllabus,
            topic,
        };
        self.guards
            .iter()
            .filter_map(|guard| guard.examine(&draft))
            .collect()
    }

    fn accept(
        &self,
        transcript: &mut Transcript,
        index: usize,
        topic: usize,
        reply: &ChatReply,
        warnings: Vec<Finding>,
    ) {
        let speaker = &self.speakers[index];
        let (number, text) = (transcript.turns.len(), reply.text.trim().to_owned());
        transcript
            .coverage
            .note(&self.syllabus, number, speaker.part, &text);
        // A teacher has now heard what it was to be told.
        if speaker.part == Part::Teacher {
            transcript.pending.clear();
        }
        let corrections = warnings.iter().map(|warning| warning.correction.clone());
        transcript.pending.extend(corrections);
        transcript.turns.push(Turn {
            speaker: speaker.name.clone(),
            part: speaker.part,
            topic,
            text,
            usage: reply.usage,
            warnings,
            told: transcript.coverage.told(),
            said_back: transcript.coverage.said_back(),
        });
    }
}

/// Participants as the transcript knows them.
fn speakers(participants: &[Participant], prompts: &DialoguePrompts) -> Vec<Speaker> {
    let speaker = |one: &Participant| Speaker {
        name: one.name.clone(),
        part: one.part,
        model: one.model.name().to_owned(),
        terms: one.terms.clone(),
        prompt_sha256: match one.part {
            Part::Teacher => prompts.teacher.sha256(),
            Part::Student => prompts.student.sha256(),
        },
    };
    participants.iter().map(speaker).collect()
}

#[cfg(test)]
mod tests;
