//! A course of several runs, each of which goes on with what the one before has made.
//!
//! A stage is a run of its own, with its objective, configuration and folder. A stage that is finished
//! costs nothing to repeat, so a program that names its stages one after the other can be killed anywhere
//! and started again.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use potstill_core::{CausalLm, Objective};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{Error, StopReason, Trainer};

/// The note of `run.json` that says which student a stage began with.
const BEGINS_WITH: &str = "begins_with";

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// Starts or continues the run in `folder`, runs it to its end, and gives it back: one stage of a
    /// course.
    ///
    /// FitNets (arXiv:1412.6550): hints first, then logits. The hints' projections are only part of
    /// the first stage, the student goes on:
    ///
    /// ```text
    /// let hints = Trainer::new(config, student, hints, teacher(), source())?.finish_in("run/hints")?;
    /// let logits = Trainer::new(config, hints.student(), soft, teacher(), source())?.finish_in("run/logits")?;
    /// ```
    ///
    /// Born-again networks (arXiv:1805.04770): the teacher of each generation is the best student of the one
    /// before, or all of them together (`WeightedTeachers`):
    ///
    /// ```text
    /// for generation in 1..=3 {
    ///     let teacher = ModelTeacher::new(&best);
    ///     let run = Trainer::new(config, fresh(generation), objective(), teacher, source())?
    ///         .evaluation(watch, evaluate)
    ///         .finish_in(format!("run/gen-{generation}"))?;
    ///     best = run.best_student()?.expect("there was an evaluation");
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`continue_in`](Self::continue_in) and [`run`](Self::run); when a callback stops the run
    /// before its end; and when the run in `folder` began with another student, because what came before
    /// has changed.
    pub fn finish_in(self, folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let begins_with = fingerprint(&self.student());
        let known = description(&folder.join("run.json"))?;
        let known = known.get("notes").and_then(|notes| notes.get(BEGINS_WITH));
        if known.is_some_and(|known| known.as_str() != Some(begins_with.as_str())) {
            return Err(Error::StageChanged {
                path: folder.to_owned(),
            });
        }
        let mut trainer = self.note(BEGINS_WITH, begins_with)?.continue_in(folder)?;
        let outcome = trainer.run()?;
        if outcome.reason == StopReason::Callback {
            return Err(Error::StageStopped {
                path: folder.to_owned(),
                step: outcome.steps,
                total_steps: trainer.total_steps(),
            });
        }
        Ok(trainer)
    }
}

/// What `run.json` says, nothing if there is none.
fn description(path: &Path) -> Result<Map<String, Value>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(Error::json(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// SHA-256 of all parameters.
fn fingerprint<M: Module>(model: &M) -> String {
    let mut hasher = Hasher(Sha256::new());
    model.visit(&mut hasher);
    format!("{:x}", hasher.0.finalize())
}

struct Hasher(Sha256);

impl ModuleVisitor for Hasher {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let data = parameter.val().into_data();
        self.0
            .update(format!("{:?} {:?}", data.dtype(), data.shape()));
        self.0.update(data.as_bytes());
    }
}
