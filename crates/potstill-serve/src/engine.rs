//! One thread that continues the sequences of everybody who waits.
//!
//! ```text
//! submit ─▶ waiting ─▶ prompts read ─┐
//!                                    ▼
//!                     batch: one token a row and step ─▶ events ─▶ whoever asked
//!                                    └── rows that ended, or that nobody waits for, leave
//! ```
//!
//! Waiting requests join the batch between two of its steps (continuous batching, Orca, OSDI 2022).

mod batch;
mod job;
mod limits;
mod log_probs;
mod prompt;
mod row;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use potstill_models::LanguageModel;

pub(crate) use job::{Event, Failure, Finish, Job, ScoredToken};
pub use limits::BatchLimits;

use crate::Error;
use worker::Worker;

/// A running engine; dropping it waits until the thread has ended.
#[derive(Debug)]
pub(crate) struct Engine {
    jobs: Option<mpsc::Sender<Job>>,
    load: Arc<Load>,
    thread: Option<JoinHandle<()>>,
}

/// How much the engine has to do.
#[derive(Debug, Default)]
pub(crate) struct Load {
    waiting: AtomicUsize,
    running: AtomicUsize,
}

/// More jobs than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull {
    pub(crate) waiting: usize,
}

impl Engine {
    /// Starts the thread; `vocab_size` is the number of tokens that it may choose from.
    pub(crate) fn start(
        model: LanguageModel,
        vocab_size: usize,
        limits: BatchLimits,
    ) -> Result<Self, Error> {
        limits.validate()?;
        let (jobs, received) = mpsc::channel();
        let load = Arc::new(Load::default());
        let worker = Worker::new(model, vocab_size, limits, received, Arc::clone(&load));
        let thread = thread::Builder::new()
            .name("potstill-engine".into())
            .spawn(|| worker.run())
            .map_err(|source| Error::Start {
                thread: "engine",
                source,
            })?;
        Ok(Self {
            jobs: Some(jobs),
            load,
            thread: Some(thread),
        })
    }

    /// Queues all of `jobs`, or none if more than `most_waiting` would wait then.
    pub(crate) fn submit(&self, jobs: Vec<Job>, most_waiting: usize) -> Result<(), QueueFull> {
        self.load.reserve(jobs.len(), most_waiting)?;
        for job in jobs {
            // A dead thread drops the job, and the asker notices that its events end.
            let dropped = self
                .jobs
                .as_ref()
                .is_none_or(|queue| queue.send(job).is_err());
            if dropped {
                self.load.leave_queue(1);
            }
        }
        Ok(())
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    /// Whether the thread still works.
    pub(crate) fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the engine thread panicked");
        }
    }
}

impl Load {
    /// Requests that nobody has begun to work on.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Sequences that are being continued.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    fn reserve(&self, jobs: usize, most_waiting: usize) -> Result<(), QueueFull> {
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                waiting
                    .checked_add(jobs)
                    .filter(|&total| total <= most_waiting)
            })
            .map(|_| ())
            .map_err(|waiting| QueueFull { waiting })
    }

    fn leave_queue(&self, jobs: usize) {
        self.waiting.fetch_sub(jobs, Ordering::Relaxed);
    }

    fn set_running(&self, rows: usize) {
        self.running.store(rows, Ordering::Relaxed);
    }
}
