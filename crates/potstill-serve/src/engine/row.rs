//! One sequence of the batch.

use potstill_models::Sampler;

use super::job::{Event, Failure, Finish, Job, ScoredToken};
use super::log_probs::LogProbs;

/// A sequence that is being continued.
#[derive(Debug)]
pub(super) struct Row {
    job: Job,
    sampler: Sampler,
    generated: usize,
    last: u32,
}

impl Row {
    pub(super) fn new(job: Job) -> Self {
        let sampler = Sampler::seeded(job.sampling, &job.prompt, job.seed, job.repetition);
        Self {
            sampler,
            generated: 0,
            last: job.prompt.last().copied().unwrap_or(0),
            job,
        }
    }

    pub(super) fn prompt(&self) -> &[u32] {
        &self.job.prompt
    }

    /// Length of the sequence when it has all tokens that it may have.
    pub(super) fn most_tokens(&self) -> usize {
        self.job.most_tokens()
    }

    /// What the model reads next.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Chooses the next token and tells the asker. Whether the sequence goes on.
    pub(super) fn push(&mut self, logits: &[f32]) -> bool {
        match self.next(logits) {
            Ok(goes_on) => goes_on,
            Err(failure) => {
                self.job.send(Event::Failed(failure));
                false
            }
        }
    }

    fn next(&mut self, logits: &[f32]) -> Result<bool, Failure> {
        let choice = self.sampler.choose(logits).ok_or(Failure::NoFiniteLogit {
            generated: self.generated,
        })?;
        self.generated += 1;
        self.last = choice.token;
        let ends = self.job.stop_tokens.contains(&choice.token);
        let mut text = String::new();
        let mut stops = ends;
        if !ends {
            let piece = self.job.text.push(choice.token)?;
            text = piece.text;
            stops = piece.stops;
        }
        let mut token = ScoredToken {
            id: choice.token,
            log_prob: Some(choice.log_prob),
            top: Vec::new(),
        };
        if self.job.top > 0 {
            let log_probs = LogProbs::new(logits);
            // Among the likely tokens it has the same number, to the last bit.
            token.log_prob = Some(log_probs.of(choice.token));
            token.top = log_probs.top(self.job.top);
        }
        let heard = self.job.send(Event::Token { token, text });
        let finish = if stops {
            Finish::Stop
        } else if self.generated == self.job.max_new_tokens {
            Finish::Length
        } else {
            return Ok(heard);
        };
        let text = self.job.text.finish()?;
        self.job.send(Event::Finished { finish, text });
        Ok(false)
    }
}
