//! What a run leaves on disk, and how it comes back.

use std::path::Path;

use burn::module::DisplaySettings;
use burn::prelude::*;
use potstill_core::{CausalLm, Objective};
use serde_json::{Value, json};

use super::Trainer;
use crate::checkpoint::{self, State};
use crate::run_folder::{prune, step_folder, steps_in};
use crate::{Error, Event, durable};

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// The student that was best in the evaluations, without autodiff; `None` if there was none.
    ///
    /// # Errors
    ///
    /// When it cannot be read back from the run folder.
    pub fn best_student(&self) -> Result<Option<S>, Error> {
        match (&self.run, self.standing.best) {
            (Some(run), Some(best)) => {
                let folder = step_folder(&run.best(), best.step);
                checkpoint::read_student(&folder, &self.student()).map(Some)
            }
            _ => Ok(self.best_student.clone()),
        }
    }

    pub(super) fn keep_best(&mut self, student: S) -> Result<(), Error> {
        let Some(run) = &self.run else {
            self.best_student = Some(student);
            return Ok(());
        };
        let folder = step_folder(&run.best(), self.step);
        durable::write_folder(&folder, |folder| {
            checkpoint::write_student(folder, &student)?;
            checkpoint::write_objective(folder, &self.model().objective)?;
            durable::write_json(&folder.join("best.json"), &self.standing.best)
        })?;
        // The one that the newest checkpoint knows must outlive a crash before the next checkpoint.
        let known = self.saved.as_ref().and_then(|(_, standing)| standing.best);
        prune(&run.best(), |step| {
            step == self.step || known.is_some_and(|best| best.step == step)
        })
    }

    pub(super) fn save(&mut self) -> Result<(), Error> {
        let Some(run) = &self.run else { return Ok(()) };
        if let Some(log) = &self.log {
            log.sync()?;
        }
        let source = self.source.state();
        let source = source.map_err(|source| Error::Source {
            step: self.step,
            source,
        })?;
        let (config, standing) = (self.config.clone(), self.standing.clone());
        let state = State::new(
            self.step,
            config,
            standing.clone(),
            source,
            self.identity.clone(),
            self.halved,
        );
        let path = step_folder(&run.checkpoints(), self.step);
        durable::write_folder(&path, |folder| {
            checkpoint::write(folder, self.model(), &self.optimizer, &state)
        })?;
        self.saved = Some((self.step, standing));

        // Later ones are damaged, or this run would have continued from them.
        let steps = steps_in(&run.checkpoints())?;
        let oldest = steps
            .iter()
            .rev()
            .filter(|(step, _)| *step <= self.step)
            .nth(self.config.keep_last - 1)
            .map_or(0, |(step, _)| *step);
        prune(&run.checkpoints(), |step| {
            (oldest..=self.step).contains(&step)
        })?;
        tracing::info!(checkpoint = %path.display(), "saved");
        self.emit(&Event::Saved {
            step: self.step,
            path: &path,
        });
        Ok(())
    }

    /// Removes every student from `best/` but the best one.
    pub(super) fn drop_outdone(&self) -> Result<(), Error> {
        match (&self.run, self.standing.best) {
            (Some(run), Some(best)) => prune(&run.best(), |step| step == best.step),
            _ => Ok(()),
        }
    }

    pub(super) fn restore(&mut self, path: &Path) -> Result<(), Error> {
        let state = State::read(path)?;
        if state.step > self.total_steps {
            return Err(Error::AlreadyLonger {
                path: path.to_owned(),
                finished: state.step,
                wanted: self.total_steps,
            });
        }
        let changed = self.config.incompatibilities(&state.config);
        if !changed.is_empty() {
            return Err(Error::ConfigChanged {
                path: path.to_owned(),
                changed,
            });
        }
        state.identity.check(&self.identity, path)?;
        let (model, optimizer) = checkpoint::read(path, self.model(), &self.optimizer)?;
        self.source
            .restore(&state.source)
            .map_err(|source| Error::SourceState {
                path: path.join(checkpoint::STATE),
                source,
            })?;
        (self.model, self.optimizer) = (Some(model), optimizer);
        self.halved = state.halved;
        (self.step, self.standing) = (state.step, state.standing.clone());
        self.saved = Some((state.step, state.standing));
        tracing::info!(checkpoint = %path.display(), step = self.step, "continuing");
        Ok(())
    }

    pub(super) fn describe(&self) -> Value {
        let model = self.model();
        json!({
            "schema": "potstill.run/1",
            "version": env!("CARGO_PKG_VERSION"),
            "config": self.config,
            "total_steps": self.total_steps,
            "student": { "parameters": Module::num_params(&model.student) },
            "objective": model.objective.format(DisplaySettings::default()),
            "identity": self.identity,
            "teacher": { "vocabulary": self.teacher.vocabulary() },
            "shared_vocabulary": self.shared_vocabulary,
            "device": format!("{:?}", self.device),
            "devices": self.devices.iter().map(|device| format!("{device:?}")).collect::<Vec<_>>(),
            "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            "notes": self.notes,
        })
    }
}
