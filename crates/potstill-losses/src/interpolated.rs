//! A target that moves from the student to the teacher (TAID).
//!
//! ```text
//! p_t = softmax((1 − t) · stop(z_S) + t · z_T)      L = −Σ p_t log q      ∂L/∂z_S = q − p_t
//! m ← β m + (1 − β) (L_prev − L) / L_prev           t ← t + α · σ(m) · (1 − t)
//! ```
//!
//! Shing et al., *TAID: Temporally Adaptive Interpolated Distillation*, arXiv:2501.16937. The loss is
//! the cross-entropy to p_t, as in the paper, because the schedule watches its value: it is not 0
//! where the models agree.

use burn::prelude::*;
use potstill_kernels::log_space::{Softmax, at_least_f32, row_dot};
use potstill_kernels::{LogitRows, RowLoss};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check, check_share};

/// Cross-entropy to a distribution between the student's own and the teacher's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interpolated {
    /// t, from 0 (the student itself) to 1 (the teacher).
    pub time: f64,
}

impl Interpolated {
    fn target_and_student(self, rows: LogitRows) -> (Softmax, Softmax) {
        let (student, teacher) = rows.student_and_teacher();
        // The bound keeps 0 · ∞ away from t = 0.
        let teacher = at_least_f32(teacher).clamp_min(-1e30) * self.time;
        let own = at_least_f32(student.clone().detach()).clamp_min(-1e30) * (1.0 - self.time);
        (Softmax::new(own + teacher, 1.0), Softmax::new(student, 1.0))
    }
}

impl RowLoss for Interpolated {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (target, q) = self.target_and_student(rows);
        -row_dot(&target.probs, &q.log_probs)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (target, q) = self.target_and_student(rows);
        (
            -row_dot(&target.probs, &q.log_probs),
            q.probs - target.probs,
        )
    }
}

/// When the target moves: faster while the loss falls, and at least linearly in the progress.
///
/// All there is to save is this struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterpolationSchedule {
    start: f64,
    end: f64,
    step_size: f64,
    decay: f64,
    time: f64,
    momentum: f64,
    previous_loss: Option<f64>,
}

impl InterpolationSchedule {
    /// From t = `start` to `end`, with the paper's step size 5·10⁻⁴ and decay 0.99.
    ///
    /// # Errors
    ///
    /// When `start` and `end` are not ordered shares.
    pub fn new(start: f64, end: f64) -> Result<Self, Error> {
        let start = check_share("start", start)?;
        let end = check_share("end", end)?;
        check("end", end, end >= start, "at least as large as the start")?;
        Ok(Self {
            start,
            end,
            step_size: 5e-4,
            decay: 0.99,
            time: start,
            momentum: 0.0,
            previous_loss: None,
        })
    }

    /// The present t.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.time
    }

    /// The loss at the present t, to be trained with.
    #[must_use]
    pub fn loss(&self) -> Interpolated {
        Interpolated { time: self.time }
    }

    /// Moves t after a step whose loss was `loss`, `progress` of the way through training.
    ///
    /// t never falls. The first call only remembers the loss and follows the progress.
    pub fn update(&mut self, loss: f64, progress: f64) {
        let linear = self.start + (self.end - self.start) * progress.clamp(0.0, 1.0);
        let adaptive = match self.previous_loss.replace(loss) {
            Some(previous) => {
                let change = (previous - loss) / (previous + 1e-15);
                self.momentum = self.decay * self.momentum + (1.0 - self.decay) * change;
                let speed = (1.0 + (-self.momentum).exp()).recip();
                self.time + self.step_size * speed * (1.0 - self.time)
            }
            None => self.time,
        };
        self.time = adaptive.max(linear).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_from_start_to_end_and_never_back() {
        let mut schedule = InterpolationSchedule::new(0.4, 1.0).unwrap();
        let mut previous = schedule.time();
        assert_eq!(previous, 0.4);
        for step in 0..=100 {
            schedule.update(2.0 - 0.01 * f64::from(step), f64::from(step) / 100.0);
            assert!(schedule.time() >= previous);
            previous = schedule.time();
        }
        assert_eq!(previous, 1.0);
    }

    #[test]
    fn a_falling_loss_moves_it_faster() {
        let time = |losses: &[f64]| {
            let mut schedule = InterpolationSchedule::new(0.2, 1.0).unwrap();
            losses.iter().for_each(|&loss| schedule.update(loss, 0.0));
            schedule.time()
        };
        assert!(time(&[4.0, 1.0, 0.1]) > time(&[4.0, 4.0, 4.0]));
        assert!(time(&[4.0, 4.0, 4.0]) > time(&[4.0, 8.0, 16.0]));
    }

    #[test]
    fn saved_and_restored_it_goes_on_alike() {
        let mut schedule = InterpolationSchedule::new(0.2, 1.0).unwrap();
        schedule.update(3.0, 0.0);
        schedule.update(2.5, 0.1);
        let text = serde_json::to_string(&schedule).unwrap();
        let mut restored: InterpolationSchedule = serde_json::from_str(&text).unwrap();
        schedule.update(2.0, 0.1);
        restored.update(2.0, 0.1);
        assert_eq!(schedule, restored);
    }

    #[test]
    fn the_order_of_start_and_end_is_checked() {
        assert!(InterpolationSchedule::new(0.5, 0.4).is_err());
        assert!(InterpolationSchedule::new(-0.1, 0.4).is_err());
    }
}
