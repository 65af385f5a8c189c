//! A teacher that knows: a script.

use potstill::core::{ChatError, ChatModel, ChatReply, ChatRequest, Usage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::sums::Sum;

/// Works out what it is asked, corrects what is wrong, tells the key facts that its instructions
/// name, and asks for a sum.
#[derive(Debug)]
pub(crate) struct Expert;

impl Expert {
    fn answer(request: &ChatRequest) -> String {
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed.unwrap_or_default());
        let heard = request.messages.last().map_or("", |last| &last.content);
        let mut said = Vec::new();
        match Sum::claim_in(heard) {
            Some((sum, claim)) if claim == sum.value() => said.push("Right.".to_owned()),
            Some((sum, _)) => said.push(format!("No: {}", sum.worked())),
            None => {}
        }
        let asked = Sum::asked_in(heard).unwrap_or_else(|| Sum::draw(false, &mut rng));
        said.push(asked.worked());
        // The lesson lists the facts that are still to be told.
        let instructions = request.messages.first().map_or("", |first| &first.content);
        let fact = instructions
            .lines()
            .find_map(|line| line.strip_prefix("- "));
        said.extend(fact.map(str::to_owned));
        said.push(Sum::draw(false, &mut rng).question());
        said.join(" ")
    }
}

impl ChatModel for Expert {
    fn name(&self) -> &'static str {
        "expert-1"
    }

    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        requests
            .iter()
            .map(|request| Ok(counted(request, Self::answer(request))))
            .collect()
    }
}

/// A reply in which a word counts as a token.
pub(crate) fn counted(request: &ChatRequest, text: String) -> ChatReply {
    let words = |text: &str| text.split_whitespace().count() as u64;
    let read = request
        .messages
        .iter()
        .map(|message| words(&message.content));
    let usage = Usage {
        prompt_tokens: read.sum(),
        completion_tokens: words(&text),
    };
    let mut reply = ChatReply::new(text);
    reply.usage = Some(usage);
    reply
}

#[cfg(test)]
mod tests {
    use potstill::core::Message;

    use super::*;

    fn says(heard: &str) -> String {
        let messages = vec![
            Message::system("Teach these facts:\n- Add the ones first."),
            Message::user(heard),
        ];
        Expert::answer(&ChatRequest::new(messages, 99).with_seed(3))
    }

    #[test]
    fn it_corrects_answers_tells_and_asks() {
        let reply = says("I say 46+27=72. What is 52+17?");
        let begin = "No: 6+7=13, 4+2+1=7, so 46+27=73. 2+7=9, 5+1=6, so 52+17=69. Add the ones first. What is ";
        assert!(reply.starts_with(begin), "{reply}");
        assert!(Sum::asked_in(&reply).is_some());
        assert!(says("I say 46+27=73. What is 52+17?").starts_with("Right. 2+7=9"));
        assert!(says("Please teach me.").contains("so "));
    }
}
