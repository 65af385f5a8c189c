//! Cross-entropy against the token that follows.
//!
//! ```text
//! L = −(1 − ε) · log q_y − ε/V · Σ_v log q_v
//! ∂L/∂z_S = q − (1 − ε) · onehot(y) − ε/V
//! ```
//!
//! ε is label smoothing: Szegedy et al., *Rethinking the Inception Architecture*, arXiv:1512.00567.
//! With ε = 0 it is the negative log-likelihood. On text that a teacher wrote it is sequence-level
//! distillation: Kim and Rush, arXiv:1606.07947.

use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;

use crate::Blend;
use crate::log_space::{Softmax, row_sum};
use crate::row_loss::{LogitRows, RowLoss};

/// Cross-entropy, in nats per token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// ε, the share of the label that is spread over the vocabulary.
    pub smoothing: f64,
}

impl CrossEntropy {
    pub(crate) fn value(self, q: &Softmax, targets: Tensor<2, Int>) -> Tensor<1> {
        let [_, vocab] = q.log_probs.dims();
        let value = -q.log_probs.clone().gather(1, targets).squeeze_dim::<1>(1);
        if self.smoothing == 0.0 {
            return value;
        }
        let spread = row_sum(q.log_probs.clone()) * (self.smoothing / vocab as f64);
        value * (1.0 - self.smoothing) - spread
    }

    /// `weight` times the gradient with respect to the student's logits.
    pub(crate) fn weighted_gradient(
        self,
        weight: f64,
        q: Tensor<2>,
        targets: Tensor<2, Int>,
    ) -> Tensor<2> {
        let [_, vocab] = q.dims();
        let label = Tensor::full(
            targets.dims(),
            -weight * (1.0 - self.smoothing),
            (&q.device(), q.dtype()),
        );
        let scaled = if weight == 1.0 { q } else { q * weight };
        let gradient = scaled.scatter(1, targets, label, IndexingUpdateOp::Add);
        if self.smoothing == 0.0 {
            return gradient;
        }
        gradient - weight * self.smoothing / vocab as f64
    }
}

impl RowLoss for CrossEntropy {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let targets = rows.target_column();
        self.value(&Softmax::new(rows.student, 1.0), targets)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let targets = rows.target_column();
        let q = Softmax::new(rows.student, 1.0);
        let value = self.value(&q, targets.clone());
        (value, self.weighted_gradient(1.0, q.probs, targets))
    }

    fn needs_teacher(&self) -> bool {
        false
    }

    fn blend(&self) -> Option<Blend> {
        Some(Blend::hard(*self))
    }
}
