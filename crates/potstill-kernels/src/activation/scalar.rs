//! Nonlinearities of one number, in a form that vectorizes: value and slope.

use super::portable::{INVERSE_ROOT_TAU, TANH_CUBE, TANH_SCALE};
use crate::host::exp;

#[inline(always)]
pub(super) fn silu(x: f32) -> (f32, f32) {
    let share = sigmoid(x);
    let value = x * share;
    (value, share + value * (1.0 - share))
}

#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> (f32, f32) {
    const SCALE: f32 = TANH_SCALE as f32;
    const CUBE: f32 = (TANH_SCALE * TANH_CUBE) as f32;
    let square = x * x;
    let share = sigmoid(x * (SCALE + CUBE * square));
    let value = x * share;
    let inner_slope = SCALE + 3.0 * CUBE * square;
    (value, share + value * (1.0 - share) * inner_slope)
}

/// `Φ(x)` by Abramowitz and Stegun, *Handbook of Mathematical Functions*, formula 7.1.26, whose
/// error is below 1.5e-7, about that of f32 itself. Its exponential is the density as well.
#[inline(always)]
pub(super) fn gelu(x: f32) -> (f32, f32) {
    let density = exp(-0.5 * x * x);
    let t = 1.0 / (0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2).mul_add(x.abs(), 1.0);
    let p = 1.061_405_4_f32.mul_add(t, -1.453_152);
    let p = p.mul_add(t, 1.421_413_7);
    let p = p.mul_add(t, -0.284_496_74);
    let p = p.mul_add(t, 0.254_829_6);
    let tail = 0.5 * p * t * density;
    let share = if x < 0.0 { tail } else { 1.0 - tail };
    (x * share, share + x * density * INVERSE_ROOT_TAU as f32)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}
