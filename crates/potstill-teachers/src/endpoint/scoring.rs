//! From what a server says about a text to the likely tokens at each position.
//!
//! Nothing is taken on trust: the server must have read the tokens that were sent, the likely tokens
//! must be likely, and what they leave must be left for the others.

use super::answer::AnswerProblem;
use super::capabilities::Scoring;
use super::token_bytes::TokenBytes;
use super::wire::completion::Prompt;
use super::wire::log_probs::NamedPosition;

const ROUNDING: f64 = 1e-3;

/// How far two reports of one log-probability may lie apart.
const SAME: f64 = 1e-2;

/// A teacher's prediction of what follows a position.
#[derive(Clone, Debug, PartialEq)]
pub struct NextToken {
    /// The likeliest tokens, descending: as many as were asked for or fewer; behind them the one that
    /// follows in the text, unless it is among them or the server does not tell its probability.
    pub token_ids: Vec<u32>,
    /// Their log-probabilities under the whole distribution.
    pub log_probs: Vec<f32>,
    /// `log Σ p` of all other tokens; −∞ when nothing is left.
    pub tail: f32,
}

impl NextToken {
    /// `k` tokens: `own` if it is named, and the likeliest others. What is left goes to the tail.
    pub(super) fn narrowed(mut self, k: usize, own: Option<u32>) -> Self {
        let mut moved = 0.0;
        while self.token_ids.len() > k {
            let last = self.token_ids.len() - 1;
            let keeps_last = last > 0 && Some(self.token_ids[last]) == own;
            let least = last - usize::from(keeps_last);
            self.token_ids.remove(least);
            moved += f64::from(self.log_probs.remove(least)).exp();
        }
        if moved > 0.0 {
            let mass = f64::from(self.tail).exp() + moved;
            self.tail = mass.min(1.0).ln() as f32;
        }
        self
    }
}

/// A document on its way to a server and back.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) tokens: &'a [u32],
    /// What follows them in the text that they were cut from.
    pub(super) follower: Option<u32>,
    pub(super) known: &'a TokenBytes,
    pub(super) takes_ids: bool,
    pub(super) top: usize,
}

impl<'a> Document<'a> {
    /// `follower` is used where it can be sent without changing how the text is read: as an id.
    pub(super) fn new(
        tokens: &'a [u32],
        follower: Option<u32>,
        known: &'a TokenBytes,
        scoring: Scoring,
        top: usize,
    ) -> Self {
        let follower = follower.filter(|&id| scoring.takes_ids && !known.bytes(id).is_empty());
        Self {
            tokens,
            follower,
            known,
            takes_ids: scoring.takes_ids,
            top,
        }
    }

    /// What is sent: the ids and one more, whose alternatives are what can follow the document, be it
    /// the follower or the last one again; or the text, of which the server then writes what follows.
    ///
    /// `Err` says why the document cannot be sent.
    pub(super) fn prompt(&self) -> Result<Prompt, String> {
        if let Some(id) = self
            .tokens
            .iter()
            .find(|&&id| self.known.bytes(id).is_empty())
        {
            return Err(format!(
                "token {id} is not among the {} tokens whose bytes are known",
                self.known.len()
            ));
        }
        if self.takes_ids {
            let more = self.follower.as_ref().or(self.tokens.last());
            let ids = self.tokens.iter().chain(more);
            return Ok(Prompt::Tokens(ids.copied().collect()));
        }
        let bytes = self
            .tokens
            .iter()
            .flat_map(|&id| self.known.bytes(id))
            .copied();
        String::from_utf8(bytes.collect()).map(Prompt::Text).map_err(|error| {
            format!(
                "the server takes text only, and byte {} of the text is not UTF-8: the segment is cut \
                 inside a character; use a server that takes token ids",
                error.utf8_error().valid_up_to()
            )
        })
    }

    /// The predictions behind each token of the document.
    pub(super) fn predictions(
        &self,
        positions: &[NamedPosition],
    ) -> Result<Vec<NextToken>, AnswerProblem> {
        let n = self.tokens.len();
        if positions.len() < n + 1 {
            return Err(AnswerProblem::LogProbs {
                position: positions.len(),
                reason: format!(
                    "the answer has {} positions, {} were sent and one more is what follows them",
                    positions.len(),
                    n
                ),
            });
        }
        let sent = self.tokens.iter().chain(&self.follower);
        for (position, (named, &sent)) in positions.iter().zip(sent).enumerate() {
            self.check_own(position, named, sent)?;
        }
        (1..=n)
            .map(|position| {
                let own = self.tokens.get(position).copied().or(self.follower);
                self.next_token(position, &positions[position], own)
            })
            .collect()
    }

    /// The server's token at `position` must be the one that was sent.
    fn check_own(
        &self,
        position: usize,
        named: &NamedPosition,
        sent: u32,
    ) -> Result<(), AnswerProblem> {
        let own = &named.chosen;
        let misread = |found: String, alternative| AnswerProblem::Alignment {
            position,
            expected: self.known.describe(sent),
            found,
            alternative,
        };
        const OTHER: &str = "teacher and student must have one tokenizer; for others use a \
                             cross-tokenizer objective";
        match (self.takes_ids, own.id, &own.bytes) {
            (true, Some(id), _) if id != sent => {
                Err(misread(format!("{id} ({:?})", own.text), OTHER))
            }
            (true, ..) if !self.known.can_be(sent, &own.text) => {
                Err(misread(format!("{:?}", own.text), OTHER))
            }
            (false, _, Some(bytes)) if bytes == self.known.bytes(sent) => Ok(()),
            (false, ..) => Err(misread(
                format!("{:?}", own.text),
                "the server tokenizes the text otherwise than the student; use a server that takes \
                 token ids",
            )),
            (true, ..) => Ok(()),
        }
    }

    fn next_token(
        &self,
        position: usize,
        named: &NamedPosition,
        own: Option<u32>,
    ) -> Result<NextToken, AnswerProblem> {
        let wrong = |reason: String| AnswerProblem::LogProbs { position, reason };
        let mut top: Vec<(Option<u32>, f64)> = Vec::with_capacity(named.top.len());
        for token in &named.top {
            let Some(log_prob) = token.log_prob else {
                continue;
            };
            let id = match (self.takes_ids, token.id, &token.bytes) {
                (true, Some(id), _) => {
                    if self.known.bytes(id).is_empty() || !self.known.can_be(id, &token.text) {
                        return Err(AnswerProblem::Alignment {
                            position,
                            expected: self.known.describe(id),
                            found: format!("{id} ({:?})", token.text),
                            alternative: "teacher and student must have one tokenizer",
                        });
                    }
                    Some(id)
                }
                (_, _, Some(bytes)) => self.known.id(bytes),
                _ => None,
            };
            top.push((id, log_prob));
        }
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        let Some(&(_, highest)) = top.first() else {
            return Err(wrong("no likely token is named".into()));
        };
        // Where tokens are told apart by their bytes, one that shares its bytes may be named already.
        let own = own.filter(|&id| self.takes_ids || self.known.id(self.known.bytes(id)).is_some());
        if let (Some(id), Some(log_prob)) = (own, named.chosen.log_prob)
            && top.iter().all(|(likely, _)| *likely != own)
        {
            top.push((Some(id), log_prob));
        }
        let mass: f64 = top.iter().map(|(_, log_prob)| log_prob.exp()).sum();
        if mass > 1.0 + ROUNDING {
            return Err(wrong(format!(
                "the named tokens sum to {mass:.3}, so they are not log-probabilities; vLLM must run \
                 with `--logprobs-mode raw_logprobs`"
            )));
        }
        if named
            .chosen
            .log_prob
            .is_some_and(|own| own > highest + SAME)
        {
            return Err(wrong(
                "the text's own token is likelier than all that are named likely".into(),
            ));
        }
        let twin = top
            .iter()
            .find(|(id, _)| named.chosen.id.is_some() && *id == named.chosen.id);
        if let (Some(own), Some((_, twin))) = (named.chosen.log_prob, twin)
            && (own - twin).abs() > SAME
        {
            return Err(wrong(format!(
                "one token is reported with {own} and with {twin}"
            )));
        }
        // What the student has no token for stays in the tail, as does what lies beyond the top.
        let mut kept: Vec<(u32, f64)> = Vec::with_capacity(self.top + 1);
        for (rank, (id, log_prob)) in top.into_iter().enumerate() {
            if rank >= self.top && id != own {
                continue;
            }
            let Some(id) = id else { continue };
            if kept.iter().any(|(known, _)| *known == id) {
                return Err(wrong(format!(
                    "token {} is named twice",
                    self.known.describe(id)
                )));
            }
            kept.push((id, log_prob));
        }
        if kept.is_empty() {
            return Err(wrong(
                "none of the likely tokens is a token of the student".into(),
            ));
        }
        let rest = 1.0 - kept.iter().map(|(_, log_prob)| log_prob.exp()).sum::<f64>();
        Ok(NextToken {
            token_ids: kept.iter().map(|(id, _)| *id).collect(),
            log_probs: kept
                .iter()
                .map(|(_, log_prob)| log_prob.min(0.0) as f32)
                .collect(),
            tail: rest.max(0.0).ln() as f32,
        })
    }
}

#[cfg(test)]
mod tests;
