//! What the dashboard knows.

use std::time::{Duration, Instant};

use crate::{Event, Metrics, Sample, StepReport, Vitals};

/// More points than this are no finer on any terminal.
const POINTS: usize = 1024;

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) step: usize,
    pub(super) total_steps: usize,
    /// When the first step of this process was finished, and which it was.
    pace: Option<(Instant, usize)>,
    /// Step and loss.
    pub(super) losses: Vec<(f64, f64)>,
    /// A point for each so many steps.
    stride: usize,
    pub(super) last: Option<(StepReport, Vitals, f64)>,
    pub(super) evaluation: Option<(usize, Metrics, bool)>,
    pub(super) sample: Option<(usize, Sample)>,
    pub(super) note: String,
}

impl State {
    pub(super) fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { step, total_steps } => {
                (self.step, self.total_steps) = (*step, *total_steps);
            }
            Event::Step {
                step,
                learning_rate,
                report,
                vitals,
                ..
            } => {
                self.step = *step;
                self.pace.get_or_insert_with(|| (Instant::now(), *step));
                self.add_loss(*step, report.loss);
                self.last = Some(((*report).clone(), **vitals, *learning_rate));
            }
            Event::Evaluated {
                step,
                metrics,
                is_best,
            } => self.evaluation = Some((*step, (*metrics).clone(), *is_best)),
            Event::Sampled { step, samples } => {
                self.sample = samples.first().map(|sample| (*step, sample.clone()));
            }
            Event::Halved {
                step,
                micro_batches,
            } => {
                self.note = format!(
                    "memory ran out at step {}: {micro_batches} micro-batches",
                    step + 1
                );
            }
            Event::Saved { step, .. } => self.note = format!("checkpoint of step {step}"),
            Event::Finished(_) | Event::Failed { .. } => {}
        }
    }

    /// How long the rest takes at the pace so far.
    pub(super) fn left(&self) -> Option<Duration> {
        let (since, first) = self.pace?;
        let steps = self.step.checked_sub(first).filter(|steps| *steps > 0)?;
        let left = self.total_steps.saturating_sub(self.step);
        Some(since.elapsed().mul_f64(left as f64 / steps as f64))
    }

    fn add_loss(&mut self, step: usize, loss: f64) {
        let stride = self.stride.max(1);
        if !loss.is_finite() || !step.is_multiple_of(stride) {
            return;
        }
        self.losses.push((step as f64, loss));
        if self.losses.len() >= POINTS {
            self.stride = 2 * stride;
            let mut place = 0;
            self.losses.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
    }
}
