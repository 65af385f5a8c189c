//! A step that gave no number, kept so that it can be looked at.
//!
//! ```text
//! failed/step-41/
//!   batches.safetensors   tokens, segments, targets and weights of each micro-batch
//!   student.bpk           the student before the step
//!   objective.bpk         the same of the objective
//!   step.json             settings, seed, teacher, and why it failed
//!   manifest.json         size and hash of each of these
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::prelude::*;
use potstill_core::{CausalLm, Objective, Teacher, TokenBatch};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch_on_host::BatchOnHost;
use crate::durable::{write_file, write_folder, write_json};
use crate::{BoxError, Distiller, Error, StepReport, StepSettings, checkpoint, parallel, step};

const SCHEMA: &str = "potstill.failed-step/1";
const STEP: &str = "step.json";
const BATCHES: &str = "batches.safetensors";

/// Everything but tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    schema: String,
    pub(crate) settings: StepSettings,
    pub(crate) seed: u64,
    pub(crate) micro_batches: usize,
    pub(crate) teacher: Value,
    pub(crate) reason: Vec<String>,
}

impl Record {
    pub(crate) fn new(
        settings: StepSettings,
        seed: u64,
        micro_batches: usize,
        teacher: Value,
        reason: &Error,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            settings,
            seed,
            micro_batches,
            teacher,
            reason: crate::ending::error_chain(reason),
        }
    }
}

/// Writes a failed step to the folder `place`.
pub(crate) fn keep<S: Module, O: Module>(
    place: &Path,
    model: &Distiller<S, O>,
    batches: &[TokenBatch],
    record: &Record,
) -> Result<(), Error> {
    write_folder(place, |folder| {
        let path = folder.join(BATCHES);
        let bytes = encode(batches).map_err(|source| Error::Tensors {
            path: path.clone(),
            source,
        })?;
        write_file(&path, &bytes)?;
        checkpoint::write_student(folder, &model.student)?;
        checkpoint::write_objective(folder, &model.objective)?;
        write_json(&folder.join(STEP), record)
    })
}

/// A step that gave a loss or a gradient that is no number, as its run folder keeps it.
///
/// A run writes it to `failed/step-N` and names the folder in its [`Error::Kept`]. The teacher is not
/// in it: bring the one that the run had.
#[derive(Clone, Debug)]
pub struct FailedStep {
    folder: PathBuf,
    record: Record,
    batches: Vec<BatchOnHost>,
}

impl FailedStep {
    /// Reads the folder of a failed step.
    ///
    /// # Errors
    ///
    /// When a file of it cannot be read or is not what it should be.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref().to_owned();
        let path = folder.join(STEP);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let record: Record = serde_json::from_str(&text).map_err(Error::json(&path))?;
        if record.schema != SCHEMA {
            return Err(Error::Schema {
                path,
                found: record.schema,
                expected: SCHEMA,
            });
        }
        let path = folder.join(BATCHES);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let batches = decode(&bytes, record.micro_batches)
            .map_err(|source| Error::Tensors { path, source })?;
        Ok(Self {
            folder,
            record,
            batches,
        })
    }

    /// Why it failed: the error and its causes.
    #[must_use]
    pub fn reason(&self) -> &[String] {
        &self.record.reason
    }

    /// The settings of the step.
    #[must_use]
    pub fn settings(&self) -> StepSettings {
        self.record.settings
    }

    /// What the random numbers of the device were seeded with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.record.seed
    }

    /// The micro-batches of the step, on `device`.
    ///
    /// # Panics
    ///
    /// Panics if the device cannot hold them.
    #[must_use]
    pub fn batches(&self, device: &Device) -> Vec<TokenBatch> {
        let device = device.clone().without_autodiff();
        let batches = self.batches.iter();
        batches.map(|batch| batch.on_device(&device)).collect()
    }

    /// The student and the objective before the step, in a model of the same shapes.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be read or do not fit.
    pub fn model<S: Module, O: Module>(
        &self,
        like: &Distiller<S, O>,
    ) -> Result<Distiller<S, O>, Error> {
        checkpoint::read_model(&self.folder, like)
    }

    /// Computes the step once more, without an update.
    ///
    /// # Errors
    ///
    /// The error that the step failed with, if it still does.
    pub fn replay<S: CausalLm, O: Objective>(
        &self,
        like: &Distiller<S, O>,
        teacher: &mut dyn Teacher,
    ) -> Result<StepReport, Error> {
        let model = self.model(like)?;
        let device = parallel::device_of(&model);
        device.seed(self.record.seed);
        let batches = self.batches(&device);
        step::clipped_gradients(&[], &model, teacher, &batches, &self.record.settings)
            .map(|(_, report)| report)
    }
}

fn encode(batches: &[TokenBatch]) -> Result<Vec<u8>, BoxError> {
    let mut columns: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (i, batch) in batches.iter().enumerate() {
        let batch = BatchOnHost::read(batch)?;
        for (name, values) in [
            ("tokens", &batch.tokens),
            ("segments", &batch.segments),
            ("targets", &batch.targets),
        ] {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            columns.push((format!("{i}.{name}"), Dtype::U32, batch.shape.into(), bytes));
        }
        let bytes = batch.weights.iter().flat_map(|value| value.to_le_bytes());
        columns.push((
            format!("{i}.weights"),
            Dtype::F32,
            batch.shape.into(),
            bytes.collect(),
        ));
    }
    let views = columns
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, BoxError>>()?;
    Ok(serialize(views, None::<HashMap<String, String>>)?)
}

fn decode(bytes: &[u8], micro_batches: usize) -> Result<Vec<BatchOnHost>, BoxError> {
    let file = SafeTensors::deserialize(bytes)?;
    let batch = |i: usize| -> Result<BatchOnHost, BoxError> {
        let words = |name: &str, dtype: Dtype| -> Result<(Vec<usize>, Vec<[u8; 4]>), BoxError> {
            let name = format!("{i}.{name}");
            let view = file.tensor(&name)?;
            if view.dtype() != dtype || view.shape().len() != 2 {
                return Err(format!("{name} must be a matrix of {dtype:?}").into());
            }
            let (words, _) = view.data().as_chunks::<4>();
            Ok((view.shape().to_vec(), words.to_vec()))
        };
        let ints = |name: &str| -> Result<(Vec<usize>, Vec<u32>), BoxError> {
            let (shape, words) = words(name, Dtype::U32)?;
            Ok((shape, words.into_iter().map(u32::from_le_bytes).collect()))
        };
        let (shape, tokens) = ints("tokens")?;
        let (others, [segments, targets]) = {
            let (first, segments) = ints("segments")?;
            let (second, targets) = ints("targets")?;
            ([first, second], [segments, targets])
        };
        let (last, weights) = words("weights", Dtype::F32)?;
        if others.iter().chain([&last]).any(|other| *other != shape) {
            return Err(format!("the tensors of batch {i} differ in shape").into());
        }
        Ok(BatchOnHost {
            shape: [shape[0], shape[1]],
            tokens,
            segments,
            targets,
            weights: weights.into_iter().map(f32::from_le_bytes).collect(),
        })
    };
    (0..micro_batches).map(batch).collect()
}
