//! What a run is made of.

use std::path::Path;

use burn::module::Module;
use burn::prelude::Device;
use potstill_core::{CausalLm, Objective, Teacher, Vocabulary};
use serde::Serialize;
use serde_json::Map;

use super::Trainer;
use crate::evaluate::{Evaluation, Standing};
use crate::flops::Utilization;
use crate::identity::RunIdentity;
use crate::parallel::device_of;
use crate::run_folder::RunFolder;
use crate::samples::Sampler;
use crate::{
    BatchSource, BoxError, Callback, Distiller, Error, Length, Metrics, ModelFlops, Sample,
    TrainerConfig, Watch, gradients,
};

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// A trainer for a student whose tokenizer is not known.
    ///
    /// Autodiff is switched on where the student's parameters allow it: frozen ones stay frozen.
    ///
    /// # Errors
    ///
    /// When a setting makes no sense, the vocabularies cannot be compared, the objective taps a
    /// layer that the student lacks, nothing is left to train, the length is given in epochs and the
    /// source does not know how long one is, or the source knows that its data is too long for a model
    /// or holds tokens that the student lacks.
    pub fn new(
        config: TrainerConfig,
        student: S,
        objective: O,
        teacher: impl Teacher + 'static,
        source: impl BatchSource<S> + 'static,
    ) -> Result<Self, Error> {
        let vocabulary = Vocabulary::of_size(student.vocab_size());
        Self::with_vocabulary(config, student, &vocabulary, objective, teacher, source)
    }

    /// A trainer for a student that speaks `vocabulary`.
    ///
    /// Needed where the head of student or teacher is padded beyond their common tokenizer.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_vocabulary(
        config: TrainerConfig,
        student: S,
        vocabulary: &Vocabulary,
        objective: O,
        teacher: impl Teacher + 'static,
        source: impl BatchSource<S> + 'static,
    ) -> Result<Self, Error> {
        config.validate()?;
        let shared_vocabulary = objective.shared_vocabulary(vocabulary, teacher.vocabulary())?;
        if let Some((kind, layer, last)) = objective.taps().0.out_of_range(student.n_layers()) {
            return Err(Error::MissingLayer { kind, layer, last });
        }
        if let Some(demands) = source.demands() {
            demands.check(&student, teacher.max_positions())?;
        }
        let mut model = Distiller {
            student: student.train(),
            objective: objective.train(),
        };
        if config.gradient_checkpointing {
            let device = device_of(&model).autodiff().gradient_checkpointing();
            model = model.fork(&device);
        }
        if !gradients::any_requires_gradient(&model) {
            return Err(Error::NothingToTrain);
        }
        let device = model
            .student
            .devices()
            .into_iter()
            .next()
            .ok_or(Error::NothingToTrain)?;
        Ok(Self {
            total_steps: total_steps(&config, source.batches_per_epoch())?,
            identity: RunIdentity::new(&model.objective, source.settings()),
            optimizer: config.optimizer.init(&model),
            config,
            shared_vocabulary,
            device,
            devices: Vec::new(),
            model: Some(model),
            teacher: Box::new(teacher),
            source: Box::new(source),
            evaluation: None,
            measured: None,
            sampler: None,
            callbacks: Vec::new(),
            onlookers: Vec::new(),
            running_since: None,
            utilization: None,
            halved: false,
            stop_requested: false,
            notes: Map::new(),
            run: None,
            log: None,
            step: 0,
            standing: Standing::default(),
            best_student: None,
            saved: None,
        })
    }

    /// Evaluates the student before the first step, every
    /// [`evaluate_every`](TrainerConfig::evaluate_every) steps and after the last one, and keeps the
    /// best by the metric that `watch` names.
    ///
    /// `evaluate` gets a validation snapshot: no autodiff, no dropout.
    #[must_use]
    pub fn evaluation(
        mut self,
        watch: Watch,
        evaluate: impl FnMut(&S) -> Result<Metrics, BoxError> + 'static,
    ) -> Self {
        self.evaluation = Some(Evaluation::new(watch, evaluate));
        self
    }

    /// Says what the evaluation gives before the first step, where the caller has just measured it;
    /// it is then logged, watched and reported without being measured again.
    #[must_use]
    pub fn measured_before(mut self, metrics: Metrics) -> Self {
        self.measured = Some(metrics);
        self
    }

    /// Has `draw` show what the student writes, after every `every`-th step.
    ///
    /// The samples go to `samples.jsonl` in the run folder and to the observers. `draw` gets a
    /// validation snapshot; [`Prompts`](crate::Prompts) has one for a student that generates.
    ///
    /// # Panics
    ///
    /// Panics if `every` is 0.
    #[must_use]
    pub fn samples(
        mut self,
        every: usize,
        draw: impl FnMut(&S) -> Result<Vec<Sample>, BoxError> + 'static,
    ) -> Self {
        assert!(every > 0, "samples after every 0 steps");
        self.sampler = Some(Sampler::new(every, draw));
        self
    }

    /// Computes the micro-batches of a step on `devices`, each in its turn: with as many
    /// micro-batches as devices ([`accumulation`](TrainerConfig::accumulation)) each has one.
    ///
    /// See [`step_on`](crate::step_on). The student itself, the optimizer and whatever the source or
    /// an evaluation does with the student stay on the student's own device.
    #[must_use]
    pub fn devices(mut self, devices: impl IntoIterator<Item = Device>) -> Self {
        self.devices = devices.into_iter().collect();
        self
    }

    /// Reports what part of `peak` floating-point operations a second a step makes use of. The
    /// `teacher` counts where it runs on the same machine.
    ///
    /// Where nobody knows the peak, [`measured_peak`](crate::measured_peak) is a stand-in.
    #[must_use]
    pub fn utilization(mut self, peak: f64, teacher: Option<ModelFlops>) -> Self {
        self.utilization = Some(Utilization {
            student: ModelFlops::of(&self.model().student),
            teacher,
            peak,
        });
        self
    }

    /// Adds an observer.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Shows the student to `onlooker` when the run begins or continues and after each step: the
    /// student in training, with autodiff.
    ///
    /// Students that teach each other learn this way what the others have become.
    #[must_use]
    pub fn onlooker(mut self, onlooker: impl FnMut(&S) + 'static) -> Self {
        self.onlookers.push(Box::new(onlooker));
        self
    }

    /// Adds something that `run.json` should hold, such as the path of the data or the model.
    ///
    /// # Errors
    ///
    /// When `value` cannot be written as JSON.
    pub fn note(mut self, name: &str, value: impl Serialize) -> Result<Self, Error> {
        let value = serde_json::to_value(value).map_err(Error::json(Path::new("run.json")))?;
        self.notes.insert(name.to_owned(), value);
        Ok(self)
    }

    /// Keeps log, checkpoints and the best student in `folder`, which must not hold a run yet.
    ///
    /// # Errors
    ///
    /// When it holds one, another process uses it, or it cannot be written.
    pub fn start_in(mut self, folder: impl AsRef<Path>) -> Result<Self, Error> {
        self.run = Some(RunFolder::create(folder.as_ref())?);
        Ok(self)
    }

    /// Continues the run in `folder` from its newest whole checkpoint, or starts one if it has none.
    ///
    /// Damaged checkpoints are passed over with a warning in the log that says why. A run that is
    /// finished stays as it is, unless its length is now larger.
    ///
    /// # Errors
    ///
    /// When the checkpoint was made with other settings or for another student, it has more steps than
    /// the run is now meant to have, all checkpoints are damaged, the source cannot continue, another
    /// process uses the folder, or it cannot be read.
    pub fn continue_in(mut self, folder: impl AsRef<Path>) -> Result<Self, Error> {
        let run = RunFolder::open(folder.as_ref())?;
        if let Some(path) = run.latest_checkpoint()? {
            self.restore(&path)?;
        }
        self.run = Some(run);
        Ok(self)
    }
}

fn total_steps(config: &TrainerConfig, batches: Option<usize>) -> Result<usize, Error> {
    match (config.length, batches) {
        (Length::Steps(steps), _) => Ok(steps),
        (Length::Epochs(epochs), Some(batches)) => {
            Ok(epochs.saturating_mul(batches).div_ceil(config.accumulation))
        }
        (Length::Epochs(epochs), None) => Err(Error::Config {
            setting: "length.epochs",
            value: epochs.to_string(),
            expected: "replaced by steps, since the source does not know how long an epoch is",
        }),
    }
}
