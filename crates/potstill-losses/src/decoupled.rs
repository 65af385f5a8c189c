//! Decoupled distillation: the label's probability and the rest, each with its own weight.
//!
//! ```text
//! TCKD = KL([p_y, 1 − p_y] ‖ [q_y, 1 − q_y])       NCKD = KL(p̂ ‖ q̂), softmax without y
//! L = τ² · (α · TCKD + β · NCKD)
//! ∂L/∂z_S = τ · (α · (q − p_y · onehot(y) − (1 − p_y) · q̂) + β · (q̂ − p̂))
//! ```
//!
//! Forward KL is the case α = 1, β = 1 − p_y of each row. Zhao et al., *Decoupled Knowledge
//! Distillation*, arXiv:2203.08679. `1 − q_y` is a sum over the other tokens, never a difference, so
//! that a certain student loses nothing to cancellation.

use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;
use potstill_kernels::log_space::{FLOOR, Softmax, column, log_sum_exp, one_of, row_dot};
use potstill_kernels::{LogitRows, RowLoss};

/// Decoupled distillation (DKD), a factor τ² included, as in the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoupled {
    /// Weight of the label against the rest.
    pub alpha: f64,
    /// Weight of the distribution among the others.
    pub beta: f64,
    /// Divides both logits.
    pub temperature: f64,
}

/// A distribution, split at the label.
struct Split {
    whole: Softmax,
    /// Without the label.
    others: Softmax,
    /// `log p_y`, `[rows]`.
    log_label: Tensor<1>,
    /// `log (1 − p_y)`, `[rows]`.
    log_rest: Tensor<1>,
}

impl Split {
    fn new(whole: Softmax, targets: Tensor<2, Int>) -> Self {
        let vocab = whole.probs.dims()[1];
        let label = one_of(targets.clone(), vocab);
        let without = whole.log_probs.clone().mask_fill(label.clone(), FLOOR);
        let log_rest = log_sum_exp(without.clone());
        let log_probs = without - log_rest.clone();
        let probs = log_probs.clone().exp().mask_fill(label, 0.0);
        Self {
            others: Softmax { log_probs, probs },
            log_label: whole
                .log_probs
                .clone()
                .gather(1, targets)
                .squeeze_dim::<1>(1),
            log_rest: log_rest.squeeze_dim::<1>(1),
            whole,
        }
    }
}

impl Decoupled {
    fn value(&self, p: &Split, q: &Split) -> Tensor<1> {
        let label = p.log_label.clone().exp() * (p.log_label.clone() - q.log_label.clone());
        let rest = p.log_rest.clone().exp() * (p.log_rest.clone() - q.log_rest.clone());
        let difference = p.others.log_probs.clone() - q.others.log_probs.clone();
        let others = row_dot(&p.others.probs, &difference);
        ((label + rest) * self.alpha + others * self.beta) * self.temperature.powi(2)
    }

    fn splits(&self, rows: LogitRows) -> (Split, Split, Tensor<2, Int>) {
        let targets = rows.target_column();
        let (student, teacher) = rows.student_and_teacher();
        let split = |logits| Split::new(Softmax::new(logits, self.temperature), targets.clone());
        (split(teacher), split(student), targets.clone())
    }
}

impl RowLoss for Decoupled {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (p, q, _) = self.splits(rows);
        self.value(&p, &q)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (p, q, targets) = self.splits(rows);
        let value = self.value(&p, &q);
        let label = column(&p.log_label).exp() * -1.0;
        let rest = column(&p.log_rest).exp();
        let against_rest = (q.whole.probs - q.others.probs.clone() * rest).scatter(
            1,
            targets,
            label,
            IndexingUpdateOp::Add,
        );
        let among_others = q.others.probs - p.others.probs;
        let gradient = against_rest * self.alpha + among_others * self.beta;
        (value, gradient * self.temperature)
    }
}
