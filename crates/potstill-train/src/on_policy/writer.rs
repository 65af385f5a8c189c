//! Who continues the prompts.

use std::fmt;

use burn::prelude::Device;
use potstill_core::{CausalLm, Generate, GenerateOptions, Rollout, TokenBatch, TokenRow};
use potstill_data::Loader;
use serde_json::Value;

use super::check;
use super::health::{HealthLimits, RolloutHealth};
use super::passage::Passage;
use super::tally::Tally;
use crate::{BoxError, Demands, Error};

type Write<S> = dyn FnMut(&S, &[Vec<u32>], &GenerateOptions) -> Result<Vec<Rollout>, BoxError>;

/// Continues prompts, watches what comes out, and makes batches of rows.
pub(super) struct Writer<S> {
    write: Box<Write<S>>,
    options: GenerateOptions,
    pad_token: u32,
    device: Device,
    health: RolloutHealth,
    pub(super) tally: Tally,
}

impl<S: CausalLm + Generate> Writer<S> {
    /// The student writes by itself.
    pub(super) fn new(
        options: GenerateOptions,
        pad_token: u32,
        device: &Device,
    ) -> Result<Self, Error> {
        let new = options.max_new_tokens;
        check("max_new_tokens", new, new > 0, "at least 1")?;
        if let Err(error) = options.sampling.validate() {
            return Err(Error::Config {
                setting: "sampling",
                value: error.to_string(),
                expected: "within its ranges",
            });
        }
        Ok(Self {
            write: Box::new(|student: &S, prompts, options| {
                let generations = student.valid().generate(prompts, options)?;
                let rollouts = prompts.iter().cloned().zip(generations);
                Ok(rollouts
                    .map(|(prompt, generation)| Rollout::new(prompt, generation))
                    .collect())
            }),
            pad_token,
            device: device.clone().without_autodiff(),
            health: RolloutHealth::new(HealthLimits::default(), can_end(&options)),
            tally: Tally::default(),
            options,
        })
    }
}

impl<S> Writer<S> {
    /// `write` continues the prompts.
    pub(super) fn written_by(
        &mut self,
        write: impl FnMut(&S, &[Vec<u32>], &GenerateOptions) -> Result<Vec<Rollout>, BoxError> + 'static,
    ) {
        self.write = Box::new(write);
    }

    pub(super) fn watched(&mut self, limits: HealthLimits) {
        self.health = RolloutHealth::new(limits, can_end(&self.options));
    }

    pub(super) fn seed(&self) -> u64 {
        self.options.seed
    }

    /// One rollout for each prompt.
    pub(super) fn write(
        &mut self,
        student: &S,
        prompts: &[Vec<u32>],
        seed: u64,
    ) -> Result<Vec<Rollout>, BoxError> {
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let options = GenerateOptions {
            seed,
            ..self.options.clone()
        };
        let mut rollouts = (self.write)(student, prompts, &options)?;
        if rollouts.len() != prompts.len() {
            let (prompts, rollouts) = (prompts.len(), rollouts.len());
            return Err(format!("{prompts} prompts were continued by {rollouts} rollouts").into());
        }
        for rollout in &mut rollouts {
            rollout.cut_after(&self.options.stop_tokens);
            self.health.see(rollout);
            self.tally.written(rollout);
        }
        Ok(rollouts)
    }

    pub(super) fn batch(&self, rows: &[TokenRow]) -> TokenBatch {
        TokenBatch::from_rows(rows, self.pad_token, &self.device)
    }

    /// What the data, its prompts and the longest continuations of them ask of a model.
    pub(super) fn demands(&self, loader: &Loader) -> Demands {
        let mut demands = Demands::of_rows(loader.rows(), self.pad_token);
        let passages = loader.rows().iter().flat_map(Passage::of_row);
        let prompt = passages.map(|passage| passage.prompt().len()).max();
        let longest = prompt
            .unwrap_or(0)
            .saturating_add(self.options.max_new_tokens);
        demands.longest_segment = demands.longest_segment.max(longest);
        demands
    }

    pub(super) fn observations(&mut self) -> Vec<(String, f64)> {
        let mut observations = self.tally.take();
        observations.extend(self.health.observations());
        observations
    }

    pub(super) fn state(&self) -> Result<Value, BoxError> {
        self.health.state()
    }

    pub(super) fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        self.health.restore(state)
    }
}

fn can_end(options: &GenerateOptions) -> bool {
    !options.stop_tokens.is_empty() || options.stop_rule.is_some()
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("options", &self.options)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
