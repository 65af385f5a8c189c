//! A loss on rows with the gradients that somebody wants.

use burn::prelude::*;
use potstill_core::LmHead;

use crate::attach_gradient;

/// Which gradients somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) hidden: bool,
    pub(super) weight: bool,
    pub(super) bias: bool,
}

impl Wanted {
    pub(super) const NOTHING: Self = Self {
        hidden: false,
        weight: false,
        bias: false,
    };

    pub(super) fn of(hidden: &Tensor<2>, head: &LmHead) -> Self {
        Self {
            hidden: hidden.is_tracked(),
            weight: head.weight.is_tracked(),
            bias: head.bias.as_ref().is_some_and(Tensor::is_tracked),
        }
    }

    pub(super) fn any(self) -> bool {
        self.hidden || self.weight || self.bias
    }
}

/// A loss on rows and the gradients that were wanted, outside the graph.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// `[rows]`; without meaning where the weight of a row is 0.
    pub(super) per_row: Tensor<1>,
    /// `Σ weight · loss`, `[1]`.
    pub(super) sum: Tensor<1>,
    pub(super) hidden: Option<Tensor<2>>,
    pub(super) weight: Option<Tensor<2>>,
    pub(super) bias: Option<Tensor<1>>,
}

impl Evaluation {
    /// The sum with its gradients.
    pub(super) fn attach(self, hidden: &Tensor<2>, head: &LmHead) -> Tensor<1> {
        let mut sum = self.sum;
        if let Some(gradient) = self.hidden {
            sum = attach_gradient(sum, hidden.clone(), gradient.cast(hidden.dtype()));
        }
        if let Some(gradient) = self.weight {
            let weight = head.weight.clone();
            sum = attach_gradient(sum, weight, gradient.cast(head.weight.dtype()));
        }
        if let (Some(gradient), Some(bias)) = (self.bias, &head.bias) {
            sum = attach_gradient(sum, bias.clone(), gradient.cast(bias.dtype()));
        }
        sum
    }
}
