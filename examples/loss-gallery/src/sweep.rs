//! One logit of the student moved past the teacher's, everything else agreeing.

use potstill::losses::RowLoss;

use crate::numbers::value_and_gradient;

/// What the teacher gives to the token whose logit moves.
pub(crate) const TOKEN_PROBABILITY: f64 = 0.3;

/// What each of the other tokens gets, over what the one before it does.
const DECAY: f64 = 0.8;

/// How far the logit goes to either side.
pub(crate) const REACH: f64 = 10.0;

const VOCAB: usize = 8;
const POINTS: usize = 401;

/// Value and gradient along the way.
pub(crate) struct Sweep {
    /// `(student's logit − teacher's, divergence)`.
    pub(crate) value: Vec<(f64, f64)>,
    /// `(student's logit − teacher's, derivative of the divergence by that logit)`.
    pub(crate) gradient: Vec<(f64, f64)>,
}

impl Sweep {
    /// Value and gradient at both ends.
    pub(crate) fn ends(&self) -> [(f64, f64); 2] {
        [0, POINTS - 1].map(|end| (self.value[end].1, self.gradient[end].1))
    }
}

/// Moves the logit of the first token.
pub(crate) fn sweep(loss: &dyn RowLoss) -> Sweep {
    let teacher = teacher();
    let offsets: Vec<f64> = (0..POINTS)
        .map(|i| 2.0 * REACH * i as f64 / (POINTS - 1) as f64 - REACH)
        .collect();
    let student = offsets
        .iter()
        .flat_map(|offset| {
            let mut logits = teacher.clone();
            logits[0] += offset;
            logits
        })
        .collect();
    let (values, gradients) = value_and_gradient(loss, student, &teacher);
    let moved = gradients.chunks(VOCAB).map(|row| row[0]);
    Sweep {
        value: offsets.iter().copied().zip(values).collect(),
        gradient: offsets.iter().copied().zip(moved).collect(),
    }
}

/// Logits of the teacher.
fn teacher() -> Vec<f64> {
    let others: Vec<f64> = (1..VOCAB as i32).map(|token| DECAY.powi(token)).collect();
    let share = (1.0 - TOKEN_PROBABILITY) / others.iter().sum::<f64>();
    std::iter::once(TOKEN_PROBABILITY)
        .chain(others.iter().map(|other| share * other))
        .map(f64::ln)
        .collect()
}

#[cfg(test)]
mod tests {
    use potstill::losses::Divergence;

    use super::*;

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let swept = sweep(&Divergence::ForwardKl);
        for (around, (_, gradient)) in swept.value.windows(3).zip(&swept.gradient[1..]) {
            let slope = (around[2].1 - around[0].1) / (around[2].0 - around[0].0);
            assert!((slope - gradient).abs() < 1e-3, "{slope} is not {gradient}");
        }
    }

    #[test]
    fn forward_kl_pulls_with_the_teachers_probability_and_reverse_kl_lets_go() {
        let [(_, forward), _] = sweep(&Divergence::ForwardKl).ends();
        assert!((forward + TOKEN_PROBABILITY).abs() < 1e-3);
        let [(_, reverse), _] = sweep(&Divergence::ReverseKl).ends();
        assert!(reverse.abs() < 1e-3);
    }
}
