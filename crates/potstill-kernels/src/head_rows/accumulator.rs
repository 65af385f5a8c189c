//! Gradients of a head, summed over chunks of rows.

use burn::prelude::*;
use potstill_core::LmHead;

use super::evaluation::{Evaluation, Wanted};
use crate::log_space::at_least_f32;

/// Collects what a chunk adds to the gradients that somebody wants.
pub(super) struct Accumulator {
    wanted: Wanted,
    hidden: Vec<Tensor<2>>,
    weight: Option<Tensor<2>>,
    bias: Option<Tensor<1>>,
}

impl Accumulator {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            hidden: Vec::new(),
            weight: None,
            bias: None,
        }
    }

    /// Adds a chunk from its gradient with respect to the logits; `logits` are needed for a softcap.
    pub(super) fn add(
        &mut self,
        hidden: Tensor<2>,
        head: &LmHead,
        logits: Option<Tensor<2>>,
        gradient: Tensor<2>,
    ) {
        let gradient = before_head_tail(head, logits, gradient);
        if self.wanted.bias {
            let bias = gradient.clone().sum_dim(0).squeeze_dim::<1>(0);
            self.bias = Some(match self.bias.take() {
                Some(sum) => sum + bias,
                None => bias,
            });
        }
        let gradient = gradient.cast(head.weight.dtype());
        if self.wanted.hidden {
            self.hidden
                .push(gradient.clone().matmul(head.weight.clone()));
        }
        if self.wanted.weight {
            let weight = at_least_f32(gradient.transpose().matmul(hidden));
            self.weight = Some(match self.weight.take() {
                Some(sum) => sum + weight,
                None => weight,
            });
        }
    }

    /// The collected gradients, with the values that they belong to.
    pub(super) fn finish(self, per_row: Tensor<1>, sum: Tensor<1>) -> Evaluation {
        let hidden = self.wanted.hidden.then(|| Tensor::cat(self.hidden, 0));
        Evaluation {
            per_row,
            sum,
            hidden,
            weight: self.weight,
            bias: self.bias,
        }
    }
}

/// The gradient in front of the head's scale and softcap.
///
/// ```text
/// z = c · tanh(s · u / c)      ∂z/∂u = s · (1 − (z/c)²)
/// ```
fn before_head_tail(head: &LmHead, logits: Option<Tensor<2>>, gradient: Tensor<2>) -> Tensor<2> {
    let gradient = match (head.softcap, logits) {
        (Some(cap), Some(logits)) => gradient * ((logits / cap).square() * -1.0 + 1.0),
        _ => gradient,
    };
    if head.scale == 1.0 {
        gradient
    } else {
        gradient * head.scale
    }
}
