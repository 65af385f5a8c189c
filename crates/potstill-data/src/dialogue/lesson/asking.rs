//! What a participant is told and asked.

use potstill_core::{ChatReply, ChatRequest, Message};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::{DialogueError, FactCoverage, Part, Transcript};
use super::Lesson;

impl Lesson {
    pub(super) fn ask(
        &self,
        transcript: &Transcript,
        index: usize,
        topic: usize,
        corrections: &[String],
        attempt: usize,
    ) -> Result<ChatReply, DialogueError> {
        let participant = &self.participants[index];
        let mut messages = vec![Message::system(self.instructions(
            transcript,
            index,
            topic,
            corrections,
        )?)];
        messages.extend(self.view(transcript, index)?);
        let mut request = ChatRequest::new(messages, self.options.limits.turn_tokens)
            .with_sampling(self.options.sampling)
            .with_seed(self.turn_seed(transcript.turns.len(), attempt));
        if self.options.log_probs {
            request = request.with_top_log_probs(0);
        }
        let answer = participant.model.chat(&[request]).pop();
        let failed = |source| DialogueError::Model {
            speaker: participant.name.clone(),
            source,
        };
        answer
            .unwrap_or_else(|| {
                Err(potstill_core::ChatError::BadRequest {
                    model: participant.model.name().to_owned(),
                    reason: "it returned no reply to one request".into(),
                })
            })
            .map_err(failed)
    }

    fn instructions(
        &self,
        transcript: &Transcript,
        index: usize,
        topic: usize,
        corrections: &[String],
    ) -> Result<String, DialogueError> {
        let participant = &self.participants[index];
        let names = |part: Part| -> Vec<&str> {
            let of_part = self.speakers.iter().filter(|speaker| speaker.part == part);
            of_part.map(|speaker| speaker.name.as_str()).collect()
        };
        if participant.part == Part::Student {
            let values = json!({
                "name": participant.name,
                "title": self.syllabus.title,
                "style": participant.style,
                "teachers": names(Part::Teacher),
                "corrections": corrections,
            });
            return Ok(self.prompts.student.render(values)?);
        }
        let facts = self.syllabus.topics[topic]
            .facts
            .iter()
            .zip(&transcript.coverage.topics[topic]);
        let texts = |wanted: fn(&FactCoverage) -> bool| -> Vec<&str> {
            let wanted = facts.clone().filter(|(_, covered)| wanted(covered));
            wanted.map(|(fact, _)| fact.text.as_str()).collect()
        };
        let unconfirmed = if self.options.must_be_said_back {
            texts(|covered| covered.told.is_some() && covered.said_back.is_none())
        } else {
            Vec::new()
        };
        let values = json!({
            "name": participant.name,
            "title": self.syllabus.title,
            "style": participant.style,
            "students": names(Part::Student),
            "topic": self.syllabus.topics[topic].title,
            "open_facts": texts(|covered| covered.told.is_none()),
            "unconfirmed_facts": unconfirmed,
            "corrections": corrections,
        });
        Ok(self.prompts.teacher.render(values)?)
    }

    /// The lesson as a participant sees it: its own turns are the model's, all others are put
    /// together as the user's, so that both alternate.
    fn view(&self, transcript: &Transcript, index: usize) -> Result<Vec<Message>, DialogueError> {
        let me = &self.speakers[index];
        let mut turns = Vec::new();
        if me.part == Part::Teacher {
            let opening = self
                .prompts
                .opening
                .render(json!({ "title": self.syllabus.title }))?;
            turns.push((false, opening));
        }
        for turn in &transcript.turns {
            let mine = turn.speaker == me.name;
            let text = if mine || self.speakers.len() == 2 {
                turn.text.clone()
            } else {
                format!("{}: {}", turn.speaker, turn.text)
            };
            turns.push((mine, text));
        }
        Ok(alternating(turns))
    }

    fn turn_seed(&self, turn: usize, attempt: usize) -> u64 {
        let mut hasher = Sha256::new();
        for part in [self.options.seed, turn as u64, attempt as u64] {
            hasher.update(part.to_le_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let (first, _) = digest.as_chunks::<8>();
        u64::from_le_bytes(first[0])
    }
}

/// Messages of the user and of the model in turn: what one side says in a row is put together.
pub(in super::super) fn alternating(turns: Vec<(bool, String)>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut last = None;
    for (mine, text) in turns {
        match messages.last_mut() {
            Some(message) if last == Some(mine) => {
                message.content.push_str("\n\n");
                message.content.push_str(&text);
            }
            _ if mine => messages.push(Message::assistant(text)),
            _ => messages.push(Message::user(text)),
        }
        last = Some(mine);
    }
    messages
}
