//! Gradients of a head, summed over chunks of rows and tied to the graph.

use burn::prelude::*;
use burn::tensor::{DType, FloatDType};
use potstill_core::LmHead;

use crate::log_space::at_least_f32;

/// Collects what a chunk adds to the gradients that somebody wants.
pub(super) struct Accumulator {
    wants_hidden: bool,
    wants_weight: bool,
    wants_bias: bool,
    hidden: Vec<Tensor<2>>,
    weight: Option<Tensor<2>>,
    bias: Option<Tensor<1>>,
}

impl Accumulator {
    pub(super) fn new(hidden: &Tensor<2>, head: &LmHead) -> Self {
        Self {
            wants_hidden: hidden.is_tracked(),
            wants_weight: head.weight.is_tracked(),
            wants_bias: head.bias.as_ref().is_some_and(Tensor::is_tracked),
            hidden: Vec::new(),
            weight: None,
            bias: None,
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wants_hidden || self.wants_weight || self.wants_bias
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
        if self.wants_bias {
            let bias = gradient.clone().sum_dim(0).squeeze_dim::<1>(0);
            self.bias = Some(match self.bias.take() {
                Some(sum) => sum + bias,
                None => bias,
            });
        }
        let gradient = gradient.cast(head.weight.dtype());
        if self.wants_hidden {
            self.hidden
                .push(gradient.clone().matmul(head.weight.clone()));
        }
        if self.wants_weight {
            let weight = at_least_f32(gradient.transpose().matmul(hidden));
            self.weight = Some(match self.weight.take() {
                Some(sum) => sum + weight,
                None => weight,
            });
        }
    }

    /// `value` with the collected gradients.
    pub(super) fn attach(self, value: Tensor<1>, hidden: &Tensor<2>, head: &LmHead) -> Tensor<1> {
        let mut value = value;
        if self.wants_hidden {
            value = tie(value, hidden.clone(), Tensor::cat(self.hidden, 0));
        }
        if let Some(gradient) = self.weight {
            value = tie(value, head.weight.clone(), gradient);
        }
        if let (Some(bias), Some(gradient)) = (head.bias.clone(), self.bias) {
            value = tie(value, bias, gradient);
        }
        value
    }
}

/// `value`, whose gradient with respect to `parameter` is `gradient`.
fn tie<const D: usize>(value: Tensor<1>, parameter: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    // A product of a row and a column: unlike an element-wise one, it needs no temporary of this
    // size forward and only the result backward.
    let size = parameter.shape().num_elements();
    // A sum beyond 65504 would be infinite, and its difference from itself not a number.
    let parameter = match parameter.dtype() {
        DType::F16 => parameter.cast(FloatDType::F32),
        _ => parameter,
    };
    let gradient = gradient.cast(parameter.dtype()).reshape([size, 1]);
    let surrogate = at_least_f32(parameter.reshape([1, size]).matmul(gradient).reshape([1]));
    let zero = surrogate.clone() - surrogate.detach();
    value + zero
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
