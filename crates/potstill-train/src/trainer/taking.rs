//! Taking one step, and what is tried when it fails.

use potstill_core::{CausalLm, Objective, TokenBatch};

use super::{Trainer, step_seed};
use crate::batch_on_host::halved;
use crate::failed::{self, Record};
use crate::run_folder::step_folder;
use crate::{Error, Event, StepReport, StepSettings, step_on};

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// One optimizer step; in halves if memory runs out for the first time in this run.
    pub(super) fn take_step(
        &mut self,
        batches: &[TokenBatch],
        settings: &StepSettings,
    ) -> Result<StepReport, Error> {
        match self.try_step(batches, settings) {
            Err(error @ Error::OutOfMemory { .. }) if self.can_halve(batches) => {
                self.halve(batches, &error)?;
                self.device.seed(step_seed(self.config.seed, self.step));
                self.try_step(batches, settings)
            }
            other => other,
        }
        .map_err(|error| self.kept(error, batches, settings))
    }

    fn try_step(
        &mut self,
        batches: &[TokenBatch],
        settings: &StepSettings,
    ) -> Result<StepReport, Error> {
        let halves = if self.halved {
            self.halves(batches)?
        } else {
            Vec::new()
        };
        let batches = if self.halved { &halves } else { batches };
        let model = self.model.take().expect("a step gives the model back");
        let (model, report) = step_on(
            &self.devices,
            model,
            self.teacher.as_mut(),
            &mut self.optimizer,
            batches,
            settings,
        );
        self.model = Some(model);
        report
    }

    fn can_halve(&self, batches: &[TokenBatch]) -> bool {
        let is_large = batches.iter().any(|batch| batch.dims()[0] > 1);
        !self.halved && is_large && self.model().objective.is_separable()
    }

    fn halve(&mut self, batches: &[TokenBatch], error: &Error) -> Result<(), Error> {
        self.halved = true;
        let (step, micro_batches) = (self.step, self.halves(batches)?.len());
        tracing::warn!(%error, micro_batches, "going on with smaller micro-batches");
        if let Some(log) = &mut self.log {
            log.halved(step, micro_batches)?;
        }
        self.emit(&Event::Halved {
            step,
            micro_batches,
        });
        Ok(())
    }

    fn halves(&self, batches: &[TokenBatch]) -> Result<Vec<TokenBatch>, Error> {
        halved(batches).map_err(|source| Error::Device {
            step: self.step + 1,
            source,
        })
    }

    /// The error of a step without a number, with what it takes to repeat it in the run folder.
    fn kept(&self, error: Error, batches: &[TokenBatch], settings: &StepSettings) -> Error {
        let no_number = matches!(
            error,
            Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. }
        );
        let Some(run) = self.run.as_ref().filter(|_| no_number) else {
            return error;
        };
        let keep = || {
            let batches = if self.halved {
                self.halves(batches)?
            } else {
                batches.to_vec()
            };
            let teacher = serde_json::to_value(self.teacher.vocabulary()).unwrap_or_default();
            let seed = step_seed(self.config.seed, self.step);
            let record = Record::new(*settings, seed, batches.len(), teacher, &error);
            let folder = step_folder(&run.failed(), settings.step);
            failed::keep(&folder, self.model(), &batches, &record)?;
            Ok(folder)
        };
        match keep() {
            Ok(folder) => Error::Kept {
                step: settings.step,
                folder,
                source: Box::new(error),
            },
            Err(flaw) => {
                // The step failed first, and that is what its caller must hear of.
                let flaw: Error = flaw;
                tracing::error!(%flaw, "the failed step could not be kept");
                error
            }
        }
    }
}
