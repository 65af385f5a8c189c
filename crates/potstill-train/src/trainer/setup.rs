//! What a run is made of.

use std::path::Path;

use potstill_core::{CausalLm, Objective, Teacher, Vocabulary};
use serde::Serialize;
use serde_json::Map;

use super::Trainer;
use crate::evaluate::{Evaluation, Standing};
use crate::run_folder::RunFolder;
use crate::{
    BatchSource, BoxError, Callback, Distiller, Error, Length, Metrics, TrainerConfig, Watch,
    gradients,
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
        let model = Distiller {
            student: student.train(),
            objective: objective.train(),
        };
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
            optimizer: config.optimizer.init(&model),
            config,
            shared_vocabulary,
            device,
            model: Some(model),
            teacher: Box::new(teacher),
            source: Box::new(source),
            evaluation: None,
            measured: None,
            callbacks: Vec::new(),
            onlookers: Vec::new(),
            is_running: false,
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
