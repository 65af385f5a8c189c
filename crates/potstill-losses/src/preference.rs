//! Preferring one answer over another.
//!
//! With `h = (log q_w − log q_l) − (log r_w − log r_l)`, the log-probabilities of the whole chosen and
//! rejected answer under the student q and a frozen reference r:
//!
//! ```text
//! DPO   L = −(1 − ε) log σ(β h) − ε log σ(−β h)
//! IPO   L = (h − 1/(2β))²
//! ```
//!
//! Rafailov et al., *Direct Preference Optimization*, arXiv:2305.18290; ε is the conservative variant's
//! chance that the label is wrong. Azar et al., *A General Theoretical Paradigm*, arXiv:2310.12036;
//! TRL divides h by the answer's length for IPO, here the caller decides what it passes. With the
//! teacher as reference this is distillation by preference.

mod objective;

use burn::prelude::*;
use burn::tensor::activation::log_sigmoid;
use potstill_kernels::log_space::at_least_f32;

pub use objective::{Preference, PreferenceConfig, PreferenceLoss};

/// Log-probabilities of the chosen and the rejected answer of each pair, summed over their tokens.
#[derive(Clone, Debug)]
pub struct PairLogProbs {
    /// Of the chosen answers, `[pairs]`.
    pub chosen: Tensor<1>,
    /// Of the rejected answers, `[pairs]`.
    pub rejected: Tensor<1>,
}

impl PairLogProbs {
    /// `log q_w − log q_l`, `[pairs]`.
    fn margin(self) -> Tensor<1> {
        at_least_f32(self.chosen) - at_least_f32(self.rejected)
    }
}

/// The DPO loss of each pair, `[pairs]`.
///
/// # Panics
///
/// Panics if `beta` is not positive or `smoothing` is not between 0 and ½.
#[must_use]
pub fn dpo(student: PairLogProbs, reference: PairLogProbs, beta: f64, smoothing: f64) -> Tensor<1> {
    assert!(beta > 0.0, "beta is positive, got {beta}");
    assert!(
        (0.0..=0.5).contains(&smoothing),
        "a label is wrong at most half the time, got {smoothing}"
    );
    let scaled = (student.margin() - reference.margin()) * beta;
    if smoothing == 0.0 {
        return -log_sigmoid(scaled);
    }
    log_sigmoid(scaled.clone()) * (smoothing - 1.0) - log_sigmoid(-scaled) * smoothing
}

/// The IPO loss of each pair, `[pairs]`.
///
/// # Panics
///
/// Panics if `beta` is not positive.
#[must_use]
pub fn ipo(student: PairLogProbs, reference: PairLogProbs, beta: f64) -> Tensor<1> {
    assert!(beta > 0.0, "beta is positive, got {beta}");
    (student.margin() - reference.margin() - (2.0 * beta).recip()).square()
}

#[cfg(test)]
mod tests {
    use potstill_testkit::{Tolerance, assert_close, assert_gradient, tensor_f64, values};

    use super::*;

    fn pairs(chosen: &[f64], rejected: &[f64]) -> PairLogProbs {
        PairLogProbs {
            chosen: tensor_f64(chosen, [chosen.len()]),
            rejected: tensor_f64(rejected, [rejected.len()]),
        }
    }

    fn reference() -> PairLogProbs {
        pairs(&[-4.0, -7.0], &[-5.0, -6.0])
    }

    #[test]
    fn a_student_that_is_its_reference_starts_at_ln_2() {
        let loss = dpo(reference(), reference(), 0.1, 0.0);
        assert_close(&values(&loss), &[2f64.ln(); 2], Tolerance::F64);
        let loss = ipo(reference(), reference(), 0.5);
        assert_close(&values(&loss), &[1.0; 2], Tolerance::F64);
    }

    #[test]
    fn values_follow_the_formula() {
        let student = pairs(&[-3.0, -8.0], &[-6.0, -5.5]);
        let margins = [3.0 - 1.0, -2.5 + 1.0];
        let sigmoid = |x: f64| (1.0 + (-x).exp()).recip();
        let expected = margins.map(|h| -0.9 * sigmoid(0.2 * h).ln() - 0.1 * sigmoid(-0.2 * h).ln());
        let loss = dpo(student.clone(), reference(), 0.2, 0.1);
        assert_close(&values(&loss), &expected, Tolerance::F64);
        let expected = margins.map(|h: f64| (h - 2.5).powi(2));
        assert_close(
            &values(&ipo(student, reference(), 0.2)),
            &expected,
            Tolerance::F64,
        );
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let at = |chosen: Tensor<1>| PairLogProbs {
            chosen,
            ..reference()
        };
        assert_gradient(
            |x| dpo(at(x), reference(), 0.3, 0.0).sum(),
            &[-3.0, -8.0],
            [2],
        );
        assert_gradient(
            |x| dpo(at(x), reference(), 0.3, 0.2).sum(),
            &[-3.0, -8.0],
            [2],
        );
        assert_gradient(|x| ipo(at(x), reference(), 0.3).sum(), &[-3.0, -8.0], [2]);
    }

    #[test]
    fn far_margins_stay_finite() {
        let student = pairs(&[-1e4, 0.0], &[0.0, -1e4]);
        let loss = values(&dpo(student, reference(), 1.0, 0.1));
        assert!(loss.iter().all(|value| value.is_finite()));
    }
}
