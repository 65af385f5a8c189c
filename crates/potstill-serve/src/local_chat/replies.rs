//! What a model answered.

use potstill_core::{
    ChatError, ChatFinish, ChatReply, ChatRequest, ChatToken, TokenLogProb, Usage,
};

use super::LocalChat;
use crate::engine::{Finish, ScoredToken};
use crate::transcript::Transcript;

impl LocalChat {
    /// The reply to `request` that a transcript makes up.
    pub(super) fn reply(
        &self,
        request: &ChatRequest,
        prompt_tokens: usize,
        transcript: Transcript,
    ) -> Result<ChatReply, ChatError> {
        let model = || self.parts.name.clone();
        let finish = match transcript.outcome {
            Some(Ok(finish)) => finish,
            Some(Err(failure)) => {
                return Err(ChatError::Source {
                    model: model(),
                    source: Box::new(failure),
                });
            }
            None => {
                return Err(ChatError::Source {
                    model: model(),
                    source: "its thread has ended, which is a bug".into(),
                });
            }
        };
        let mut reply = ChatReply::new(transcript.text);
        reply.finish = match finish {
            Finish::Stop => ChatFinish::Stop,
            Finish::Length => ChatFinish::Length,
        };
        reply.usage = Some(Usage {
            prompt_tokens: prompt_tokens as u64,
            completion_tokens: transcript.tokens.len() as u64,
        });
        reply.tokens = request.top_log_probs.map(|_| {
            let tokens = transcript.tokens.into_iter();
            tokens.map(|token| self.chat_token(token)).collect()
        });
        Ok(reply)
    }

    fn chat_token(&self, token: ScoredToken) -> ChatToken {
        let named = |(id, log_prob): (u32, f32)| TokenLogProb {
            bytes: self.bytes(id).to_vec(),
            log_prob,
        };
        ChatToken {
            chosen: named((token.id, token.log_prob.unwrap_or(f32::NEG_INFINITY))),
            top: token.top.into_iter().map(named).collect(),
        }
    }
}
