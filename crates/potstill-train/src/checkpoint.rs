//! What a checkpoint holds.
//!
//! ```text
//! checkpoints/step-200/
//!   student.bpk     parameters and their ids
//!   objective.bpk   the same of the objective
//!   optimizer.bpk   moments, by parameter id
//!   state.json      step, settings, evaluations so far, position of the source
//!   manifest.json   size and hash of each of these
//! ```
//!
//! Learning rate and random numbers are functions of the step and need no state.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durable::write_json;
use crate::evaluate::Standing;
use crate::identity::RunIdentity;
use crate::{Distiller, Error, TrainerConfig};

const SCHEMA: &str = "potstill.checkpoint/1";
const STUDENT: &str = "student.bpk";
const OBJECTIVE: &str = "objective.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
pub(crate) const STATE: &str = "state.json";

/// Everything but tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    schema: String,
    version: String,
    pub(crate) step: usize,
    pub(crate) config: TrainerConfig,
    pub(crate) standing: Standing,
    pub(crate) source: Value,
    /// What the run is besides its settings; older checkpoints do not say.
    #[serde(default)]
    pub(crate) identity: RunIdentity,
    /// Whether micro-batches are cut in two because memory ran out.
    #[serde(default)]
    pub(crate) halved: bool,
}

impl State {
    pub(crate) fn new(
        step: usize,
        config: TrainerConfig,
        standing: Standing,
        source: Value,
        identity: RunIdentity,
        halved: bool,
    ) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            schema: SCHEMA.to_owned(),
            version,
            step,
            config,
            standing,
            source,
            identity,
            halved,
        }
    }

    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(STATE);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let state: Self = serde_json::from_str(&text).map_err(Error::json(&path))?;
        if state.schema != SCHEMA {
            return Err(Error::Schema {
                path,
                found: state.schema,
                expected: SCHEMA,
            });
        }
        Ok(state)
    }
}

/// Writes the files of a checkpoint into `folder`.
pub(crate) fn write<S: Module, O: Module>(
    folder: &Path,
    model: &Distiller<S, O>,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<(), Error> {
    write_student(folder, &model.student)?;
    write_objective(folder, &model.objective)?;
    let path = folder.join(OPTIMIZER);
    optimizer
        .save(&path)
        .map_err(Error::record("save", &path))?;
    write_json(&folder.join(STATE), state)
}

/// Reads the tensors of a checkpoint into a model and an optimizer of the same shapes.
pub(crate) fn read<S: Module, O: Module>(
    folder: &Path,
    model: &Distiller<S, O>,
    optimizer: &ModuleOptimizer,
) -> Result<(Distiller<S, O>, ModuleOptimizer), Error> {
    let model = read_model(folder, model)?;
    let path = folder.join(OPTIMIZER);
    let optimizer = optimizer
        .clone()
        .load(&path)
        .map_err(Error::record("load", &path))?;
    Ok((model, optimizer))
}

pub(crate) fn write_student<S: Module>(folder: &Path, student: &S) -> Result<(), Error> {
    write_module(folder, STUDENT, student)
}

pub(crate) fn write_objective<O: Module>(folder: &Path, objective: &O) -> Result<(), Error> {
    write_module(folder, OBJECTIVE, objective)
}

pub(crate) fn read_student<S: Module>(folder: &Path, like: &S) -> Result<S, Error> {
    read_module(folder, STUDENT, like)
}

/// Reads student and objective, without the optimizer.
pub(crate) fn read_model<S: Module, O: Module>(
    folder: &Path,
    like: &Distiller<S, O>,
) -> Result<Distiller<S, O>, Error> {
    Ok(Distiller {
        student: read_student(folder, &like.student)?,
        objective: read_module(folder, OBJECTIVE, &like.objective)?,
    })
}

fn write_module<M: Module>(folder: &Path, name: &str, module: &M) -> Result<(), Error> {
    let path = folder.join(name);
    module
        .clone()
        .save_file(&path)
        .map_err(Error::record("save", &path))
}

fn read_module<M: Module>(folder: &Path, name: &str, like: &M) -> Result<M, Error> {
    let path = folder.join(name);
    ModuleRecord::load(&path)
        .and_then(|record| like.clone().try_load_record(record))
        .map_err(Error::record("load", &path))
}
