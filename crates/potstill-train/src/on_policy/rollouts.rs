//! Rollouts of the student, alone or mixed with data (GKD).

use std::collections::VecDeque;
use std::fmt;

use burn::prelude::Device;
use potstill_core::{CausalLm, Generate, GenerateOptions, Rollout, TokenBatch, TokenRow};
use potstill_data::{Loader, LoaderState};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::health::HealthLimits;
use super::mixture::Mixture;
use super::passage::{Passage, check_prompts};
use super::writer::Writer;
use super::{check, stream};
use crate::{BatchSource, BoxError, Demands, Error};

/// Batches of what the student writes behind the prompts of some data.
///
/// The data are rows as for any other training: in each document, what comes before the first token
/// that counts is the prompt, and the student writes the rest anew. Only what it writes counts. It is
/// cut after the first stop token, and each token remembers how likely it was when it was drawn, so
/// that policy gradients can be computed. No gradient passes through the sampling.
///
/// Everything random comes from the seed of the options and the number of the batch, so a run that
/// continues goes on bit for bit.
///
/// Logs `source/student_share`, `source/staleness` (batches since a sample was written),
/// `source/rollout_length`, `source/truncated`, `source/entropy` and `source/repetition`, and what
/// [`RolloutHealth`](crate::RolloutHealth) warns of.
///
/// # Examples
///
/// Generalized knowledge distillation: half of the samples are the student's, any divergence, any
/// teacher.
///
/// ```
/// use burn::prelude::Device;
/// use potstill_core::{GenerateOptions, Sampling, TokenRow};
/// use potstill_data::{Loader, LoaderOptions};
/// use potstill_losses::{Divergence, SoftTarget};
/// use potstill_models::{Architecture, LanguageModel, ModelConfig};
/// use potstill_teachers::ModelTeacher;
/// use potstill_train::{Mixture, Rollouts, StudentShare, Trainer, TrainerConfig};
///
/// let device = Device::default();
/// let config = ModelConfig::new(Architecture::Llama, 16, 8, 1, 2);
/// let teacher = ModelTeacher::new(&LanguageModel::init(&config, 1, &device));
/// let student = LanguageModel::init(&config, 2, &device);
///
/// // Two tokens of prompt, two of completion.
/// let rows: Vec<TokenRow> = (1..9)
///     .map(|i| TokenRow::document(&[i, 3, i + 1, 0], &[0.0, 0.0, 1.0, 1.0]))
///     .collect();
/// let loader = Loader::new(rows, LoaderOptions::shuffled(4, 7))?;
/// let options = GenerateOptions {
///     sampling: Sampling::temperature(1.0),
///     stop_tokens: vec![0],
///     ..GenerateOptions::greedy(5)
/// };
/// let source = Rollouts::new(loader, options, 0, &device)?
///     .mixed(Mixture::PerSample(StudentShare::constant(0.5)?))?;
///
/// let objective = SoftTarget::new(Divergence::generalized_jsd(0.5)?);
/// let mut trainer = Trainer::new(TrainerConfig::steps(3), student, objective, teacher, source)?;
/// trainer.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Rollouts<S> {
    loader: Loader,
    writer: Writer<S>,
    mixture: Mixture,
    refresh_every: usize,
    /// Batches handed out.
    batch: u64,
    window: Window,
}

/// Batches whose rollouts were written at once.
#[derive(Debug)]
struct Window {
    /// Where the loader was when it began.
    begin: LoaderState,
    rollouts: Vec<Rollout>,
    taken: usize,
    ready: VecDeque<Vec<Sample>>,
}

#[derive(Debug)]
enum Sample {
    Data(TokenRow),
    Own(TokenRow),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Where the loader was when the window began.
    loader: LoaderState,
    /// Number of the window's first batch.
    batch: u64,
    /// Batches of the window that were handed out.
    taken: usize,
    rollouts: Vec<Rollout>,
    health: Value,
}

impl<S: CausalLm + Generate> Rollouts<S> {
    /// All samples are the student's, written anew for each batch.
    ///
    /// Batches are made on `device` (autodiff is switched off) and padded with `pad_token`. For the
    /// probabilities of the draws to be those of the samples, sample at temperature 1 without filters.
    ///
    /// # Errors
    ///
    /// When no new token may be written, the sampling makes no sense, or a row has no document.
    pub fn new(
        loader: Loader,
        options: GenerateOptions,
        pad_token: u32,
        device: &Device,
    ) -> Result<Self, Error> {
        check_prompts(loader.rows())?;
        Ok(Self {
            writer: Writer::new(options, pad_token, device)?,
            window: Window::at(loader.state()),
            loader,
            mixture: Mixture::Student,
            refresh_every: 1,
            batch: 0,
        })
    }
}

impl<S> Rollouts<S> {
    /// Takes some samples from the data.
    ///
    /// # Errors
    ///
    /// When a document of the data has no completion although it may be asked for.
    pub fn mixed(mut self, mixture: Mixture) -> Result<Self, Error> {
        let mut passages = self.loader.rows().iter().flat_map(Passage::of_row);
        if mixture.needs_data() && passages.any(|passage| !passage.has_completion()) {
            return Err(Error::Config {
                setting: "share of the student",
                value: "below 1".into(),
                expected: "1 where a document of the data has no token that counts",
            });
        }
        drop(passages);
        self.mixture = mixture;
        Ok(self)
    }

    /// Writes the rollouts of `batches` batches at once, with the student as it is then.
    ///
    /// Writing many at once costs little more than few; the last of them are `batches − 1` batches
    /// old when they are learned from.
    ///
    /// # Errors
    ///
    /// When there is no batch.
    pub fn refreshed_every(mut self, batches: usize) -> Result<Self, Error> {
        check(
            "batches between refreshes",
            batches,
            batches > 0,
            "at least 1",
        )?;
        self.refresh_every = batches;
        Ok(self)
    }

    /// Lets `write` continue the prompts instead of the student alone: two models together, a server.
    ///
    /// It gets the student, the prompts and the options with a seed of their own, and returns one
    /// rollout for each prompt.
    #[must_use]
    pub fn written_by(
        mut self,
        write: impl FnMut(&S, &[Vec<u32>], &GenerateOptions) -> Result<Vec<Rollout>, BoxError> + 'static,
    ) -> Self {
        self.writer.written_by(write);
        self
    }

    /// Warns at other limits than the default ones.
    #[must_use]
    pub fn watched(mut self, limits: HealthLimits) -> Self {
        self.writer.watched(limits);
        self
    }

    /// Takes the batches of a window from the loader and gets their rollouts from `rollouts`, which is
    /// given the prompts.
    fn open(
        &mut self,
        rollouts: impl FnOnce(&mut Writer<S>, Vec<Vec<u32>>, u64) -> Result<Vec<Rollout>, BoxError>,
    ) -> Result<(), BoxError> {
        let begin = self.loader.state();
        let seed = self.writer.seed();
        let mut batches = Vec::new();
        for number in (self.batch..).take(self.refresh_every) {
            let Some(rows) = self.loader.next_rows() else {
                break;
            };
            let passages: Vec<Passage> = rows.iter().flat_map(Passage::of_row).collect();
            let mut random = stream(seed, number);
            // The first number is the seed of what is written.
            let _: u64 = random.random();
            let lots = self.mixture.lots(number, passages.len(), &mut random);
            batches.push(passages.into_iter().zip(lots).collect::<Vec<_>>());
        }
        let own = batches.iter().flatten().filter(|(_, own)| *own);
        let prompts: Vec<Vec<u32>> = own.map(|(passage, _)| passage.prompt().to_vec()).collect();
        let rollouts = rollouts(&mut self.writer, prompts, stream(seed, self.batch).random())?;
        let mut written = rollouts.iter();
        let sample = |(passage, own): (Passage, bool)| match own.then(|| written.next()).flatten() {
            Some(rollout) => Sample::Own(rollout.row()),
            None => Sample::Data(passage.row()),
        };
        let mut samples = batches.iter().map(Vec::len).collect::<Vec<_>>().into_iter();
        let mut all = batches.into_iter().flatten().map(sample);
        let ready = std::iter::from_fn(|| Some(all.by_ref().take(samples.next()?).collect()));
        self.window.ready = ready.collect();
        self.window.begin = begin;
        self.window.taken = 0;
        self.window.rollouts = rollouts;
        Ok(())
    }
}

impl Window {
    /// Before its first batch.
    fn at(begin: LoaderState) -> Self {
        Self {
            begin,
            rollouts: Vec::new(),
            taken: 0,
            ready: VecDeque::new(),
        }
    }
}

impl<S> BatchSource<S> for Rollouts<S> {
    fn next_batch(&mut self, student: &S) -> Result<Option<TokenBatch>, BoxError> {
        if self.window.ready.is_empty() {
            self.open(|writer, prompts, seed| writer.write(student, &prompts, seed))?;
        }
        let Some(samples) = self.window.ready.pop_front() else {
            return Ok(None);
        };
        let rows: Vec<TokenRow> = samples
            .into_iter()
            .map(|sample| match sample {
                Sample::Own(row) => {
                    self.writer.tally.own(self.window.taken as u64);
                    row
                }
                Sample::Data(row) => {
                    self.writer.tally.data();
                    row
                }
            })
            .collect();
        self.batch += 1;
        self.window.taken += 1;
        Ok(Some(self.writer.batch(&rows)))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.loader.batches_per_epoch())
    }

    fn demands(&self) -> Option<Demands> {
        Some(self.writer.demands(&self.loader))
    }

    fn observations(&mut self) -> Vec<(String, f64)> {
        self.writer.observations()
    }

    fn state(&self) -> Result<Value, BoxError> {
        let is_open = !self.window.ready.is_empty();
        let (loader, taken, rollouts) = if is_open {
            let Window {
                begin,
                rollouts,
                taken,
                ..
            } = &self.window;
            (begin.clone(), *taken, rollouts.clone())
        } else {
            (self.loader.state(), 0, Vec::new())
        };
        Ok(serde_json::to_value(State {
            loader,
            batch: self.batch - taken as u64,
            taken,
            rollouts,
            health: self.writer.state()?,
        })?)
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        let State {
            loader,
            batch,
            taken,
            rollouts,
            health,
        } = serde_json::from_value(state.clone())?;
        self.loader.restore(&loader)?;
        self.writer.restore(&health)?;
        self.batch = batch;
        self.window = Window::at(loader);
        if taken == 0 {
            return Ok(());
        }
        self.open(|_, prompts, _| {
            let written = rollouts.iter().map(|rollout| &rollout.prompt);
            if written.eq(&prompts) {
                Ok(rollouts)
            } else {
                Err("the rollouts that were saved continue other prompts; continue with the settings \
                     that the run was begun with"
                    .into())
            }
        })?;
        if taken >= self.window.ready.len() {
            let batches = self.window.ready.len();
            return Err(format!("{taken} of {batches} batches were already taken").into());
        }
        self.window.ready.drain(..taken);
        self.window.taken = taken;
        self.batch += taken as u64;
        Ok(())
    }
}

impl<S> fmt::Debug for Rollouts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollouts")
            .field("writer", &self.writer)
            .field("mixture", &self.mixture)
            .field("refresh_every", &self.refresh_every)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
