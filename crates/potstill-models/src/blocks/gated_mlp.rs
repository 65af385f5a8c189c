//! The gated MLP of the Llama family.

use burn::prelude::*;
use potstill_kernels::{Activation, gated};

use super::linear::Linear;
use super::self_attention::Plan;
use crate::ModelConfig;

/// SwiGLU (Shazeer, arXiv:2002.05202).
///
/// ```text
/// y = down(silu(gate(x)) · up(x))
/// ```
#[derive(Module, Debug)]
pub(crate) struct GatedMlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl GatedMlp {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Self {
        let (d_model, d_ff, bias) = (config.d_model, config.d_ff, config.mlp_bias);
        Self {
            gate_proj: Linear::new(d_model, d_ff, bias, device),
            up_proj: Linear::new(d_model, d_ff, bias, device),
            down_proj: Linear::new(d_ff, d_model, bias, device),
        }
    }

    /// Applies the MLP.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[batch, seq, d_model]`
    #[must_use]
    pub(crate) fn forward(&self, x: Tensor<3>, plan: &Plan) -> Tensor<3> {
        let gate = self.gate_proj.forward(x.clone());
        let up = self.up_proj.forward(x);
        let activated = gated(Activation::Silu, gate, up);
        plan.show(|probe| probe.neurons(&activated));
        self.down_proj.forward(activated)
    }
}
