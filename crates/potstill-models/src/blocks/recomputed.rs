//! Blocks of which a training step keeps nothing but what went in.

use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{GradientCheckpointingStrategy, Gradients};
use potstill_kernels::{AttentionMask, Recompute, RecomputedGradients, recomputed};

use super::rotary::Rotation;
use super::self_attention::Plan;
use crate::cache::LayerCache;

/// A block of a decoder.
pub(crate) trait DecoderBlock: Module + Sync + 'static {
    /// The stream behind the block, and its attention map if it is wanted.
    ///
    /// # Shapes
    ///
    /// - `x`, stream: `[batch, seq, d_model]`
    /// - map: `[batch, n_heads, seq, keys]`
    fn forward(
        &self,
        x: Tensor<3>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>);

    /// The same; on a device with gradient checkpointing, what happens inside of the block is computed
    /// again in the backward pass. Not where somebody wants to see it.
    fn run(
        &self,
        x: Tensor<3>,
        plan: &Plan,
        cache: Option<&mut LayerCache>,
        want_map: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let balanced = Some(GradientCheckpointingStrategy::Balanced);
        if cache.is_some()
            || want_map
            || plan.probe.is_some()
            || x.gradient_checkpointing_strategy() != balanced
        {
            return self.forward(x, plan, cache, want_map);
        }
        let mut trained = Trained::default();
        self.visit(&mut trained);
        let part = Again {
            block: self.valid(),
            mask: Arc::clone(&plan.mask),
            rotation: plan.rotation.clone().map(Rotation::without_autodiff),
        };
        (recomputed(x, trained.parameters, Arc::new(part)), None)
    }
}

/// A block without autodiff, and what its pass needs besides.
#[derive(Debug)]
struct Again<M> {
    block: M,
    mask: Arc<AttentionMask>,
    rotation: Option<Rotation>,
}

impl<M: DecoderBlock> Again<M> {
    fn pass(&self, block: &M, x: Tensor<3>) -> Tensor<3> {
        let plan = Plan {
            mask: Arc::clone(&self.mask),
            rotation: self.rotation.clone(),
            probe: None,
        };
        block.forward(x, &plan, None, false).0
    }
}

impl<M: DecoderBlock> Recompute for Again<M> {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.pass(&self.block, x)
    }

    fn backward(&self, x: Tensor<3>, gradient: Tensor<3>) -> RecomputedGradients {
        let block = self.block.clone().train();
        let x = x.autodiff().require_grad();
        let y = self.pass(&block, x.clone());
        let mut gradients = (y * gradient.autodiff()).sum().backward();
        let mut found = Found {
            gradients: &mut gradients,
            parameters: Vec::new(),
        };
        block.visit(&mut found);
        let parameters = found.parameters;
        let x = x.grad_remove(&mut gradients);
        RecomputedGradients {
            x: x.expect("the stream goes through the block"),
            parameters,
        }
    }
}

/// The parameters that are trained, as they lie in the graph.
#[derive(Default)]
struct Trained {
    parameters: Vec<DispatchTensor>,
}

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.parameters.push(param.base().into_dispatch());
        }
    }
}

/// Their gradients, in the same order.
struct Found<'a> {
    gradients: &'a mut Gradients,
    parameters: Vec<Option<DispatchTensor>>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let gradient = param.base().grad_remove(self.gradients);
            self.parameters.push(gradient.map(Tensor::into_dispatch));
        }
    }
}

#[cfg(test)]
mod tests;
