//! What a run says about its end.

use std::panic::{self, AssertUnwindSafe};

use potstill_core::{CausalLm, Objective};

use super::Trainer;
use crate::ending::{EndReason, Ended, error_chain};
use crate::memory::panic_message;
use crate::{Error, Event, Outcome};

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// Does `part` of the run; if the run ends with it, however it does, its folder then says how.
    pub(super) fn with_ending(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<Option<Outcome>, Error>,
    ) -> Result<Option<Outcome>, Error> {
        let result = panic::catch_unwind(AssertUnwindSafe(|| part(self)));
        let (reason, error) = match &result {
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(outcome))) => (outcome.reason.into(), Vec::new()),
            Ok(Err(error)) => (EndReason::Failed, error_chain(error)),
            Err(payload) => {
                let message = panic_message(payload.as_ref()).unwrap_or("a panic without words");
                (EndReason::Panicked, vec![message.to_owned()])
            }
        };
        let started = self.running_since.take();
        let seconds = started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let written = self.run.as_ref().map_or(Ok(()), |run| {
            Ended::new(reason, [self.step, self.total_steps], seconds, error).write(run)
        });
        match result {
            Ok(Ok(outcome)) => written.map(|()| outcome),
            Ok(Err(error)) => {
                let step = self.step;
                self.emit(&Event::Failed {
                    step,
                    error: &error,
                });
                Err(error)
            }
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}
