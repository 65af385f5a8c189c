//! When a lesson ends, and what is talked about until then.

use potstill_core::Usage;

use super::super::{Coverage, Finding, LessonEnding, Part, Transcript};
use super::Lesson;
use crate::Tally;

impl Lesson {
    /// Why it ends here, if it does.
    pub(super) fn ending(&self, transcript: &Transcript) -> Option<LessonEnding> {
        let limits = self.options.limits;
        let usage = transcript.usage();
        let tokens = usage.prompt_tokens + usage.completion_tokens;
        let number = transcript.turns.len();
        let said_again = transcript.rejected_at(number).count();
        let given_up = if said_again >= self.options.patience {
            transcript
                .rejected_at(number)
                .next_back()
                .map(|last| &last.finding)
        } else {
            self.warned_in_a_row(transcript)
        };
        // A round is finished before the lesson is: the student has the last word.
        let between_rounds = number.is_multiple_of(self.round());
        if self.topic(&transcript.coverage).is_none() && between_rounds {
            Some(LessonEnding::Covered)
        } else if let Some(finding) = given_up {
            Some(LessonEnding::Guard {
                guard: finding.guard.clone(),
                message: finding.message.clone(),
            })
        } else if number >= limits.turns {
            Some(LessonEnding::Turns)
        } else if limits.tokens.is_some_and(|most| tokens >= most) {
            Some(LessonEnding::Tokens)
        } else if limits
            .cost
            .is_some_and(|most| self.cost(transcript) >= most)
        {
            Some(LessonEnding::Cost)
        } else {
            None
        }
    }

    /// What the lesson has cost so far, as far as prices and tokens are known.
    fn cost(&self, transcript: &Transcript) -> f64 {
        let cost = |(speaker, usage): (&str, Usage)| {
            let by = self.participants.iter().find(|one| one.name == speaker)?;
            by.price?.of(Tally {
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                ..Tally::default()
            })
        };
        transcript.spent().filter_map(cost).sum()
    }

    /// The last of as many warnings of one guard in a row as are tolerated.
    fn warned_in_a_row<'a>(&self, transcript: &'a Transcript) -> Option<&'a Finding> {
        let mut turns = transcript
            .turns
            .iter()
            .rev()
            .filter(|turn| turn.part == Part::Teacher);
        let last = turns.next()?.warnings.first()?;
        let again = turns
            .take_while(|turn| {
                turn.warnings
                    .iter()
                    .any(|warning| warning.guard == last.guard)
            })
            .count();
        (again + 1 >= self.options.patience).then_some(last)
    }

    /// The first topic in order that is not done.
    pub(super) fn topic(&self, coverage: &Coverage) -> Option<usize> {
        let done = |topic: &usize| coverage.is_done(*topic, self.options.must_be_said_back);
        self.order.iter().copied().find(|topic| !done(topic))
    }
}
