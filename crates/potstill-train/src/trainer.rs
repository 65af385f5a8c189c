//! The loop around [`step`](crate::step).

use std::fmt;
use std::time::Instant;

use burn::optim::ModuleOptimizer;
use burn::prelude::*;
use potstill_core::{CausalLm, Objective, Teacher, TokenBatch};
use serde_json::{Map, Value};

use crate::evaluate::{Evaluation, Standing};
use crate::flops::Utilization;
use crate::identity::RunIdentity;
use crate::metrics::MetricsLog;
use crate::run_folder::RunFolder;
use crate::samples::Sampler;
use crate::vitals::step_values;
use crate::{
    BatchSource, Callback, Distiller, Error, Event, Flow, Metrics, Outcome, StepReport,
    StepSettings, StopReason, TrainerConfig, Vitals, durable, samples,
};

mod ending;
mod keeping;
mod setup;
mod taking;

/// Trains a student, [`step`](crate::step) by step.
///
/// Everything else here is bookkeeping: batches and their accumulation, the learning rate,
/// evaluation, checkpoints, the log, observers. None of it changes what a step computes.
///
/// Same seed, same machine, same backend: the same run, bit for bit; and a run that was interrupted
/// and continued ends with the same student as one that was not.
pub struct Trainer<S, O> {
    config: TrainerConfig,
    total_steps: usize,
    shared_vocabulary: usize,
    device: Device,
    /// Where micro-batches are computed; without any, where the student is.
    devices: Vec<Device>,
    /// Empty only while a step has it.
    model: Option<Distiller<S, O>>,
    optimizer: ModuleOptimizer,
    teacher: Box<dyn Teacher>,
    source: Box<dyn BatchSource<S>>,
    evaluation: Option<Evaluation<S>>,
    /// What the evaluation gives before the first step, where that is known.
    measured: Option<Metrics>,
    sampler: Option<Sampler<S>>,
    callbacks: Vec<Box<dyn Callback>>,
    onlookers: Vec<Onlooker<S>>,
    /// Set between the first and the last call of [`advance`](Self::advance).
    running_since: Option<Instant>,
    utilization: Option<Utilization>,
    identity: RunIdentity,
    /// Whether micro-batches are cut in two because memory ran out.
    halved: bool,
    stop_requested: bool,
    notes: Map<String, Value>,
    run: Option<RunFolder>,
    log: Option<MetricsLog>,
    step: usize,
    standing: Standing,
    /// The best student of a run without a folder.
    best_student: Option<S>,
    /// What the newest checkpoint knows.
    saved: Option<(usize, Standing)>,
}

type Onlooker<S> = Box<dyn FnMut(&S)>;

impl<S: CausalLm, O: Objective> Trainer<S, O> {
    /// Trains to the end, or until evaluations stop improving or a callback says so.
    ///
    /// Can be called again after a callback has stopped it.
    ///
    /// # Errors
    ///
    /// Whatever [`step`](crate::step), the source, the evaluation or a file can run into. The student is then the
    /// one after the last step that worked.
    pub fn run(&mut self) -> Result<Outcome, Error> {
        loop {
            if let Some(outcome) = self.advance()? {
                return Ok(outcome);
            }
        }
    }

    /// Makes the run ready for its first step, as the first [`advance`](Self::advance) does otherwise:
    /// opens the log, evaluates, and shows the student to those who look on.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn begin(&mut self) -> Result<(), Error> {
        self.with_ending(|trainer| trainer.make_ready().map(|()| None))
            .map(|_| ())
    }

    fn make_ready(&mut self) -> Result<(), Error> {
        if self.running_since.is_none() {
            self.running_since = Some(Instant::now());
            self.open()?;
            self.show();
        }
        Ok(())
    }

    /// Takes the next step of [`run`](Self::run), with the evaluation and the checkpoint that are due
    /// after it; gives the outcome instead when the run is over.
    ///
    /// For whoever has several students to train in turns: see
    /// [`run_together`](crate::run_together).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn advance(&mut self) -> Result<Option<Outcome>, Error> {
        self.with_ending(|trainer| {
            trainer.make_ready()?;
            trainer.next()
        })
    }

    fn next(&mut self) -> Result<Option<Outcome>, Error> {
        if self.step >= self.total_steps {
            return self.end(StopReason::Completed).map(Some);
        }
        if self.stop_requested {
            return self.end(StopReason::Callback).map(Some);
        }
        if self.standing.is_over(self.config.early_stop) {
            return self.end(StopReason::EarlyStop).map(Some);
        }
        if !self.step_once()? {
            return self.end(StopReason::Exhausted).map(Some);
        }
        self.show();
        if self.is_due(self.config.evaluate_every) || self.step == self.total_steps {
            self.evaluate()?;
        }
        self.sample()?;
        if self.is_due(self.config.checkpoint_every) {
            self.save()?;
        }
        Ok(None)
    }

    /// Steps finished.
    #[must_use]
    pub fn finished_steps(&self) -> usize {
        self.step
    }

    /// Steps of the whole run.
    #[must_use]
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// The student and its objective as they are now.
    ///
    /// # Panics
    ///
    /// Panics if a step has panicked before.
    #[must_use]
    pub fn model(&self) -> &Distiller<S, O> {
        self.model.as_ref().expect("a step gives the model back")
    }

    /// The student as it is now, without autodiff.
    ///
    /// # Panics
    ///
    /// Panics if a step has panicked before.
    #[must_use]
    pub fn student(&self) -> S {
        self.model().student.valid()
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.evaluation.is_none() {
            let unused = self.config.evaluate_every.map(|_| "evaluate_every");
            if let Some(setting) = self.config.early_stop.map(|_| "early_stop").or(unused) {
                let expected = "left out without an evaluation";
                return Err(Error::Config {
                    setting,
                    value: "set".into(),
                    expected,
                });
            }
        }
        self.stop_requested = false;
        if let Some(run) = &self.run {
            // Also when it continues: it may be longer now.
            durable::write_json(&run.description(), &self.describe())?;
            run.forget_end()?;
            // A run that begins again has nothing to keep, not even an evaluation before step 1.
            let is_new = self.step == 0 && self.standing.last_step.is_none();
            let kept_steps = (!is_new).then_some(self.step);
            self.log = Some(MetricsLog::open(&run.metrics(), kept_steps)?);
        }
        self.emit(&Event::Started {
            step: self.step,
            total_steps: self.total_steps,
        });
        if self.step == 0 && self.standing.last_step.is_none() {
            self.evaluate()?;
        }
        Ok(())
    }

    /// Takes one step; false when the source has nothing left.
    fn step_once(&mut self) -> Result<bool, Error> {
        let started = Instant::now();
        self.device.seed(step_seed(self.config.seed, self.step));
        let batches = self.micro_batches()?;
        if batches.is_empty() {
            return if self.step == 0 {
                Err(Error::NoBatches)
            } else {
                Ok(false)
            };
        }
        let settings = StepSettings {
            step: self.step + 1,
            learning_rate: self.config.rate(self.step, self.total_steps),
            max_grad_norm: self.config.max_grad_norm,
            shared_vocabulary: self.shared_vocabulary,
        };
        let report = self.take_step(&batches, &settings)?;
        self.step += 1;
        let utilization = self.utilization.as_ref();
        let vitals = Vitals::of_step(started.elapsed(), &report, &batches, utilization);
        self.report(&report, settings.learning_rate, &vitals)?;
        Ok(true)
    }

    fn micro_batches(&mut self) -> Result<Vec<TokenBatch>, Error> {
        let student = &self
            .model
            .as_ref()
            .expect("a step gives the model back")
            .student;
        let mut batches = Vec::with_capacity(self.config.accumulation);
        while batches.len() < self.config.accumulation {
            let batch = self.source.next_batch(student);
            match batch.map_err(|source| Error::Source {
                step: self.step + 1,
                source,
            })? {
                Some(batch) => batches.push(batch),
                None => break,
            }
        }
        Ok(batches)
    }

    fn report(&mut self, report: &StepReport, rate: f64, vitals: &Vitals) -> Result<(), Error> {
        let logged = self.is_due(Some(self.config.log_every)) || self.step == self.total_steps;
        // Also when nothing is logged: a line speaks of its own step.
        let observations = self.source.observations();
        if let Some(log) = self.log.as_mut().filter(|_| logged) {
            let mut values = step_values(report, rate, vitals);
            let named = |(name, value)| (format!("source/{name}"), value);
            values.extend(observations.into_iter().map(named));
            log.train(self.step, values)?;
        }
        let (step, total_steps) = (self.step, self.total_steps);
        self.emit(&Event::Step {
            step,
            total_steps,
            learning_rate: rate,
            report,
            vitals,
            logged,
        });
        Ok(())
    }

    fn evaluate(&mut self) -> Result<(), Error> {
        let student = self.student();
        let Some(evaluation) = &mut self.evaluation else {
            return Ok(());
        };
        let known = self.measured.take().filter(|_| self.step == 0);
        let (metrics, value) = evaluation.run(&student, self.step, known)?;
        let watch = &evaluation.watch;
        let is_best = self
            .standing
            .observe(watch, self.step, value, self.config.early_stop);
        if let Some(log) = &mut self.log {
            log.evaluation(self.step, &metrics)?;
        }
        if is_best {
            self.keep_best(student)?;
        }
        self.emit(&Event::Evaluated {
            step: self.step,
            metrics: &metrics,
            is_best,
        });
        Ok(())
    }

    fn sample(&mut self) -> Result<(), Error> {
        if !self.is_due(self.sampler.as_ref().map(|sampler| sampler.every)) {
            return Ok(());
        }
        let student = self.student();
        let Some(sampler) = &mut self.sampler else {
            return Ok(());
        };
        let drawn = sampler.draw(&student, self.step)?;
        if let Some(run) = &self.run {
            samples::append(&run.samples(), self.step, &drawn)?;
        }
        let (step, samples) = (self.step, drawn.as_slice());
        self.emit(&Event::Sampled { step, samples });
        Ok(())
    }

    fn end(&mut self, reason: StopReason) -> Result<Outcome, Error> {
        if reason == StopReason::Exhausted && self.standing.last_step != Some(self.step) {
            self.evaluate()?;
        }
        if self.saved != Some((self.step, self.standing.clone())) {
            self.save()?;
        }
        self.drop_outdone()?;
        let outcome = Outcome {
            steps: self.step,
            reason,
            best: self.standing.best,
        };
        self.emit(&Event::Finished(&outcome));
        Ok(outcome)
    }

    fn is_due(&self, every: Option<usize>) -> bool {
        every.is_some_and(|every| self.step.is_multiple_of(every))
    }

    fn show(&mut self) {
        let student = &self
            .model
            .as_ref()
            .expect("a step gives the model back")
            .student;
        for onlooker in &mut self.onlookers {
            onlooker(student);
        }
    }

    fn emit(&mut self, event: &Event<'_>) {
        for callback in &mut self.callbacks {
            self.stop_requested |= callback.on_event(event) == Flow::Stop;
        }
    }
}

impl<S: fmt::Debug, O: fmt::Debug> fmt::Debug for Trainer<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("config", &self.config)
            .field("step", &self.step)
            .field("total_steps", &self.total_steps)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// One seed for each step (SplitMix64), so that random numbers need no state to resume.
fn step_seed(seed: u64, step: usize) -> u64 {
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
