//! A student whose answers come out of its weights.

use potstill::core::{ChatError, ChatModel, ChatReply, ChatRequest, Message};
use potstill_serve::LocalChat;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::expert::counted;
use crate::sums::Sum;

/// Sums among which it asks for the one that it is least sure of.
const CHOICE: usize = 3;

/// Tokens that it may think.
pub(crate) const ANSWER_TOKENS: usize = 48;

/// Tries what it is asked and asks back.
///
/// What it says a sum is, its model says. The words around that are a form: a model with a hundred
/// thousand weights can learn to add, but not to converse.
#[derive(Debug)]
pub(crate) struct Pupil {
    model: LocalChat,
}

impl Pupil {
    pub(crate) fn new(model: LocalChat) -> Self {
        Self { model }
    }

    fn answer(&self, request: &ChatRequest) -> Result<ChatReply, ChatError> {
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed.unwrap_or_default());
        let heard = request.messages.last().map_or("", |last| &last.content);
        let check = Sum::asked_in(heard);
        let mut sums: Vec<Sum> = check.into_iter().collect();
        sums.extend((0..CHOICE).map(|_| Sum::draw(false, &mut rng)));
        let thoughts = sums.iter().map(|sum| {
            ChatRequest::new(vec![Message::user(sum.question())], ANSWER_TOKENS)
                .with_top_log_probs(0)
        });
        let thoughts: Vec<ChatRequest> = thoughts.collect();
        let mut thoughts = self
            .model
            .chat(&thoughts)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;

        let mut said = Vec::new();
        if let Some(check) = check {
            let thought = thoughts.remove(0);
            sums.remove(0);
            // Who has no answer only asks.
            if let Some(claim) = check.claimed_in(&thought.text) {
                said.extend(statement(heard));
                said.push(format!("I say {check}={claim}."));
            }
        }
        let unsure = sums
            .iter()
            .zip(&thoughts)
            .min_by(|one, other| sureness(one.1).total_cmp(&sureness(other.1)));
        said.extend(unsure.map(|(sum, _)| sum.question()));
        Ok(counted(request, said.join(" ")))
    }
}

impl ChatModel for Pupil {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        requests
            .iter()
            .map(|request| self.answer(request))
            .collect()
    }
}

/// Log-probability of the token that the model was least sure of.
fn sureness(thought: &ChatReply) -> f32 {
    let tokens = thought.tokens.iter().flatten();
    tokens
        .map(|token| token.chosen.log_prob)
        .fold(0.0, f32::min)
}

/// The last sentence of a teacher that is about no particular numbers.
fn statement(heard: &str) -> Option<String> {
    let sentences = heard.split_inclusive(". ").map(str::trim);
    sentences
        .filter(|sentence| sentence.ends_with('.') && *sentence != "Right.")
        .filter(|sentence| !sentence.contains(|c: char| c.is_ascii_digit()))
        .last()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_from_sums() {
        let heard = "Right. 2+7=9, 5+1=6, so 52+17=69. Add the ones first. What is 10+11?";
        assert_eq!(statement(heard).as_deref(), Some("Add the ones first."));
        assert_eq!(statement("Right. What is 10+11?"), None);
    }
}
