//! AdamW as an optimizer of burn.

use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::prelude::*;
use potstill_kernels::{AdamWUpdate, adamw};

/// The settings of one group of parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamW {
    pub(super) beta_1: f64,
    pub(super) beta_2: f64,
    pub(super) epsilon: f64,
    pub(super) weight_decay: f64,
}

impl Optimizer for AdamW {
    // burn's own state, so that checkpoints do not depend on who computes the update.
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (time, means) = match state {
            Some(AdamWState { momentum }) => {
                (momentum.time, [momentum.moment_1, momentum.moment_2])
            }
            None => (0, [parameter.zeros_like(), parameter.zeros_like()]),
        };
        let update = AdamWUpdate {
            learning_rate,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            time: time + 1,
        };
        let (parameter, [mean, square]) = adamw(parameter, gradient, means, &update);
        let state = AdaptiveMomentumState::new(update.time, mean, square);
        (parameter, Some(AdamWState::new(state)))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
