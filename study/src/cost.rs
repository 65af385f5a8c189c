//! What asking a teacher costs, in seconds of processor time: whatever else the machine does meanwhile.

use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cpu_time::ProcessTime;
use potstill::core::{Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary};
use serde::{Deserialize, Serialize};

/// Seconds of processor time and positions, added up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) positions: usize,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.positions += other.positions;
    }
}

/// What a student's teacher costs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(Arc<Mutex<Entries>>);

#[derive(Clone, Copy, Debug, Default)]
struct Entries {
    /// Paid before the training.
    before: Cost,
    /// Paid while it goes on.
    meanwhile: Cost,
}

impl Bill {
    /// Adds what was paid before the training.
    pub(crate) fn add(&self, cost: Cost) {
        self.entries().before += cost;
    }

    /// Everything.
    pub(crate) fn total(&self) -> Cost {
        let Entries {
            mut before,
            meanwhile,
        } = *self.entries();
        before += meanwhile;
        before
    }

    /// What was paid while training.
    pub(crate) fn meanwhile(&self) -> Cost {
        self.entries().meanwhile
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it takes to have a teacher read `positions`.
pub(crate) fn timed<T>(positions: usize, ask: impl FnOnce() -> T) -> (T, Cost) {
    let start = ProcessTime::now();
    let answer = ask();
    let seconds = start.elapsed().as_secs_f64();
    (answer, Cost { seconds, positions })
}

/// A teacher that is asked while training, every answer on the bill.
pub(crate) struct Billed<T> {
    teacher: T,
    bill: Bill,
}

impl<T: Teacher> Billed<T> {
    pub(crate) fn new(teacher: T, bill: &Bill) -> Self {
        Self {
            teacher,
            bill: bill.clone(),
        }
    }
}

impl<T: Teacher> Teacher for Billed<T> {
    fn vocabulary(&self) -> &Vocabulary {
        self.teacher.vocabulary()
    }

    fn max_positions(&self) -> Option<usize> {
        self.teacher.max_positions()
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let positions = batch.dims().iter().product();
        let (signal, cost) = timed(positions, || self.teacher.signal(batch, taps));
        self.bill.entries().meanwhile += cost;
        signal
    }
}
