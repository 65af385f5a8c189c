//! Which students are trained: first one for each learning rate, then one for each seed.

use anyhow::{Context, Result};

use crate::job::{Arm, Job, Outcome, Task};
use crate::pool::Journal;

/// The seed that serves to choose learning rates, and nothing else.
const TUNING_SEED: u64 = 0;

/// How much effort goes into each arm: the same for all.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Effort {
    pub(crate) learning_rates: Vec<f64>,
    pub(crate) seeds: u64,
}

impl Effort {
    /// One student for each arm and learning rate.
    pub(crate) fn tuning(&self, task: Task) -> Vec<Job> {
        let rates = |arm| {
            self.learning_rates.iter().map(move |&learning_rate| Job {
                task,
                arm,
                seed: TUNING_SEED,
                learning_rate,
            })
        };
        Arm::of(task).into_iter().flat_map(rates).collect()
    }

    /// One student for each arm and seed, at the learning rate that the tuning found best.
    pub(crate) fn measuring(&self, task: Task, journal: &Journal) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for seed in 1..=self.seeds {
            for arm in Arm::of(task) {
                let learning_rate = self.best_rate(task, arm, journal)?;
                jobs.push(Job {
                    task,
                    arm,
                    seed,
                    learning_rate,
                });
            }
        }
        Ok(jobs)
    }

    /// The learning rate with the best validation result.
    pub(crate) fn best_rate(&self, task: Task, arm: Arm, journal: &Journal) -> Result<f64> {
        self.learning_rates
            .iter()
            .filter_map(|&learning_rate| {
                let job = Job {
                    task,
                    arm,
                    seed: TUNING_SEED,
                    learning_rate,
                };
                Some((journal.outcome(&job)?.validation, learning_rate))
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, learning_rate)| learning_rate)
            .with_context(|| format!("{} was not tuned", arm.title(task)))
    }

    /// What came of the arm at its learning rate, by seed.
    pub(crate) fn outcomes<'a>(
        &self,
        task: Task,
        arm: Arm,
        journal: &'a Journal,
    ) -> Result<Vec<&'a Outcome>> {
        let learning_rate = self.best_rate(task, arm, journal)?;
        (1..=self.seeds)
            .map(|seed| {
                let job = Job {
                    task,
                    arm,
                    seed,
                    learning_rate,
                };
                journal
                    .outcome(&job)
                    .with_context(|| format!("not finished: {job}"))
            })
            .collect()
    }
}
