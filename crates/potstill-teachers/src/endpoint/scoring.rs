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
    /// The likeliest tokens, descending: as many as were asked for or fewer.
    pub token_ids: Vec<u32>,
    /// Their log-probabilities under the whole distribution.
    pub log_probs: Vec<f32>,
    /// `log Σ p` of all other tokens; −∞ when nothing is left.
    pub tail: f32,
}

impl NextToken {
    /// The first `k` tokens; the others go to the tail.
    pub(super) fn first(mut self, k: usize) -> Self {
        let moved = self
            .log_probs
            .iter()
            .skip(k)
            .map(|log_prob| f64::from(*log_prob).exp());
        let mass = f64::from(self.tail).exp() + moved.sum::<f64>();
        if self.log_probs.len() > k {
            self.tail = mass.min(1.0).ln() as f32;
        }
        self.token_ids.truncate(k);
        self.log_probs.truncate(k);
        self
    }
}

/// A document on its way to a server and back.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) tokens: &'a [u32],
    pub(super) known: &'a TokenBytes,
    pub(super) takes_ids: bool,
    pub(super) top: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        tokens: &'a [u32],
        known: &'a TokenBytes,
        scoring: Scoring,
        top: usize,
    ) -> Self {
        Self {
            tokens,
            known,
            takes_ids: scoring.takes_ids,
            top,
        }
    }

    /// What is sent: the ids and the last one once more, whose alternatives are what can follow the
    /// document; or the text, of which the server then writes what follows.
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
            let ids = self.tokens.iter().chain(self.tokens.last());
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
        for (position, (named, &sent)) in positions.iter().zip(self.tokens).enumerate() {
            self.check_own(position, named, sent)?;
        }
        (1..=n)
            .map(|position| self.next_token(position, &positions[position]))
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
        let mass: f64 = top.iter().map(|(_, log_prob)| log_prob.exp()).sum();
        if mass > 1.0 + ROUNDING {
            return Err(wrong(format!(
                "the likely tokens sum to {mass:.3}, so they are not log-probabilities; vLLM must run \
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
        top.truncate(self.top);
        // What the student has no token for stays in the tail, as does what lies beyond the top.
        let mut kept: Vec<(u32, f64)> = Vec::with_capacity(top.len());
        for (id, log_prob) in top {
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
