//! What happened since somebody asked.

use potstill_core::Rollout;

use super::health::Vital;

/// Sums over samples and rollouts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    samples: usize,
    own: usize,
    staleness: u64,
    written: Vec<Vital>,
}

impl Tally {
    /// A sample of the data was handed out.
    pub(super) fn data(&mut self) {
        self.samples += 1;
    }

    /// A sample of the student was handed out, `staleness` batches after it was written.
    pub(super) fn own(&mut self, staleness: u64) {
        self.samples += 1;
        self.own += 1;
        self.staleness += staleness;
    }

    pub(super) fn written(&mut self, rollout: &Rollout) {
        self.written.push(Vital::of(rollout));
    }

    /// The means, and begins again.
    pub(super) fn take(&mut self) -> Vec<(String, f64)> {
        let Self {
            samples,
            own,
            staleness,
            written,
        } = std::mem::take(self);
        let mut observations = Vec::new();
        let mut observe = |name: &str, value| observations.push((name.to_owned(), value));
        if samples > 0 {
            observe("student_share", own as f64 / samples as f64);
        }
        if own > 0 {
            observe("staleness", staleness as f64 / own as f64);
        }
        if let Some(vitals) = Vital::mean(&written) {
            observe("rollout_length", vitals.length);
            observe("truncated", vitals.truncated);
            observe("entropy", vitals.entropy);
            observe("repetition", vitals.repetition);
        }
        observations
    }
}
