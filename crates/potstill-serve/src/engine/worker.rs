//! The thread that owns the model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use burn::module::Module;
use potstill_core::{CausalLm, LmHead};
use potstill_models::LanguageModel;

use super::batch::Batch;
use super::job::{Event, Finish, Job};
use super::prompt::score;
use super::row::Row;
use super::{BatchLimits, Load};

pub(super) struct Worker {
    batch: Batch,
    head: LmHead,
    limits: BatchLimits,
    max_columns: usize,
    jobs: Receiver<Job>,
    waiting: VecDeque<Job>,
    load: Arc<Load>,
}

impl Worker {
    pub(super) fn new(
        model: LanguageModel,
        vocab_size: usize,
        limits: BatchLimits,
        jobs: Receiver<Job>,
        load: Arc<Load>,
    ) -> Self {
        let model = model.valid();
        Self {
            head: model.head().truncated(vocab_size),
            max_columns: limits.max_columns(model.config()),
            batch: Batch::new(model, vocab_size),
            limits,
            jobs,
            waiting: VecDeque::new(),
            load,
        }
    }

    /// Works until nobody can ask any more and everything that was asked for is done.
    pub(super) fn run(mut self) {
        while self.receive() {
            self.admit();
            self.load.set_running(self.batch.rows().len());
            self.batch.step();
            self.load.set_running(self.batch.rows().len());
        }
    }

    /// Takes over what was asked for in the meantime, and waits for it if there is nothing else to
    /// do. False when there never will be.
    fn receive(&mut self) -> bool {
        if self.batch.rows().is_empty() && self.waiting.is_empty() {
            match self.jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => return false,
            }
        }
        self.waiting.extend(self.jobs.try_iter());
        let all = self.waiting.len();
        self.waiting.retain(|job| !job.events.is_closed());
        self.load.leave_queue(all - self.waiting.len());
        true
    }

    /// Lets jobs join the batch, in the order in which they came, as far as the limits allow.
    fn admit(&mut self) {
        let running = self.batch.rows();
        let mut longest_row = running.iter().map(Row::most_tokens).max().unwrap_or(0);
        let mut longest_prompt = 0;
        let mut joining: Vec<Job> = Vec::new();
        while let Some(job) = self.waiting.front() {
            longest_prompt = longest_prompt.max(job.prompt.len());
            longest_row = longest_row.max(job.most_tokens());
            let rows = running.len() + joining.len() + 1;
            let has_row = rows <= self.limits.max_rows;
            let has_memory = rows == 1 || rows.saturating_mul(longest_row) <= self.max_columns;
            let read = (joining.len() + 1).saturating_mul(longest_prompt);
            let has_time = joining.is_empty() || read <= self.limits.max_prefill_tokens;
            if !(has_row && has_memory && has_time) {
                break;
            }
            joining.extend(self.waiting.pop_front());
        }
        if !joining.is_empty() {
            self.load.leave_queue(joining.len());
            self.begin(joining);
        }
    }

    fn begin(&mut self, jobs: Vec<Job>) {
        let to_score: Vec<usize> = (0..jobs.len())
            .filter(|&index| jobs[index].score_prompt.is_some())
            .collect();
        let prompts: Vec<(&[u32], usize)> = to_score
            .iter()
            .filter_map(|&index| Some((jobs[index].prompt.as_slice(), jobs[index].score_prompt?)))
            .collect();
        let scored = score(self.batch.model(), &self.head, &prompts);
        let mut failed = vec![false; jobs.len()];
        for (&index, scored) in to_score.iter().zip(scored) {
            failed[index] = scored.is_err();
            jobs[index].send(scored.map_or_else(Event::Failed, Event::Prompt));
        }
        let mut rows = Vec::new();
        for (job, failed) in jobs.into_iter().zip(failed) {
            if failed {
                continue;
            }
            if job.max_new_tokens == 0 {
                let (finish, text) = (Finish::Length, String::new());
                job.send(Event::Finished { finish, text });
            } else {
                rows.push(Row::new(job));
            }
        }
        if !rows.is_empty() {
            self.batch.join(rows);
        }
    }
}
