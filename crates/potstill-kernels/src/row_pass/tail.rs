//! What a head does to a product: bias, scale and softcap, on one row.
//!
//! ```text
//! z = c · tanh(s · (u + b) / c)      ∂z/∂u = s · (1 − (z/c)²)
//! ```

use crate::host::exp;

/// Bias, scale and softcap of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail<'a> {
    /// `[vocab]`.
    pub(crate) bias: Option<&'a [f32]>,
    /// Factor on product and bias; the product has it already where there is no bias.
    pub(crate) scale: f32,
    /// Bound on the logits.
    pub(crate) softcap: Option<f32>,
}

impl Tail<'_> {
    /// Of logits, which a head has done everything to.
    #[cfg(feature = "tch")]
    pub(crate) const NONE: Self = Self {
        bias: None,
        scale: 1.0,
        softcap: None,
    };

    /// The factor that the product itself applies.
    pub(crate) fn product_factor(&self) -> f32 {
        if self.bias.is_some() { 1.0 } else { self.scale }
    }

    /// Products become logits.
    #[inline(always)]
    pub(super) fn apply(self, row: &mut [f32]) {
        if let Some(bias) = self.bias {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value = (*value + bias) * self.scale;
            }
        }
        if let Some(cap) = self.softcap {
            let inverse = cap.recip();
            for value in row {
                *value = cap * tanh(*value * inverse);
            }
        }
    }

    /// Gradients of capped logits become gradients of uncapped ones; the scale is not applied.
    #[inline(always)]
    pub(super) fn differentiate(self, gradient: &mut [f32], logits: &[f32]) {
        if let Some(cap) = self.softcap {
            let inverse = cap.recip();
            for (gradient, logit) in gradient.iter_mut().zip(logits) {
                let tanh = logit * inverse;
                *gradient *= 1.0 - tanh * tanh;
            }
        }
    }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}
