//! Nonlinearities of f32 on flex.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use rayon::prelude::*;

use super::scalar::{gelu, gelu_tanh, silu};
use super::{Activation, ActivationBackend, portable};
use crate::flex::{Values, ValuesMut, filled, is_fused, tensor, vectorized};

/// Values of one task.
const BLOCK: usize = 8192;

impl ActivationBackend for Flex {
    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        if !is_fused([&x]) {
            return portable::activate::<Self>(x, activation);
        }
        let shape = x.shape();
        let x = Values::of(x);
        let y = match activation {
            Activation::Silu => mapped(x.as_slice(), silu),
            Activation::Gelu => mapped(x.as_slice(), gelu),
            Activation::GeluTanh => mapped(x.as_slice(), gelu_tanh),
        };
        tensor(y, shape)
    }

    fn activate_backward(
        x: FlexTensor,
        gradient: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        if !is_fused([&x, &gradient]) {
            return portable::activate_backward::<Self>(x, gradient, activation);
        }
        let (x, mut gradient) = (Values::of(x), ValuesMut::of(gradient));
        let slopes = (x.as_slice(), gradient.as_mut_slice());
        match activation {
            Activation::Silu => multiply_by_slope(slopes, silu),
            Activation::Gelu => multiply_by_slope(slopes, gelu),
            Activation::GeluTanh => multiply_by_slope(slopes, gelu_tanh),
        }
        gradient.into_tensor()
    }

    fn gated(gate: FlexTensor, up: FlexTensor, activation: Activation) -> FlexTensor {
        if !is_fused([&gate, &up]) {
            return portable::gated::<Self>(gate, up, activation);
        }
        let shape = gate.shape();
        let (gate, up) = (Values::of(gate), Values::of(up));
        let inputs = (gate.as_slice(), up.as_slice());
        let y = match activation {
            Activation::Silu => gate_values(inputs, silu),
            Activation::Gelu => gate_values(inputs, gelu),
            Activation::GeluTanh => gate_values(inputs, gelu_tanh),
        };
        tensor(y, shape)
    }

    fn gated_backward(
        gate: FlexTensor,
        up: FlexTensor,
        gradient: FlexTensor,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor) {
        if !is_fused([&gate, &up, &gradient]) {
            return portable::gated_backward::<Self>(gate, up, gradient, activation);
        }
        let (mut gate, up, mut gradient) =
            (ValuesMut::of(gate), Values::of(up), ValuesMut::of(gradient));
        let rows = (gate.as_mut_slice(), up.as_slice(), gradient.as_mut_slice());
        match activation {
            Activation::Silu => differentiate_gate(rows, silu),
            Activation::Gelu => differentiate_gate(rows, gelu),
            Activation::GeluTanh => differentiate_gate(rows, gelu_tanh),
        }
        (gate.into_tensor(), gradient.into_tensor())
    }
}

fn mapped(x: &[f32], curve: impl Fn(f32) -> (f32, f32) + Sync) -> Vec<f32> {
    filled(x.len(), BLOCK, |start, y| {
        vectorized(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(&x[start..]) {
                    *y = curve(x).0;
                }
            },
        );
    })
}

fn multiply_by_slope(
    (x, gradient): (&[f32], &mut [f32]),
    curve: impl Fn(f32) -> (f32, f32) + Sync,
) {
    gradient
        .par_chunks_mut(BLOCK)
        .zip(x.par_chunks(BLOCK))
        .for_each(|(gradient, x)| {
            vectorized(
                #[inline(always)]
                || {
                    for (gradient, &x) in gradient.iter_mut().zip(x) {
                        *gradient *= curve(x).1;
                    }
                },
            );
        });
}

fn gate_values((gate, up): (&[f32], &[f32]), curve: impl Fn(f32) -> (f32, f32) + Sync) -> Vec<f32> {
    filled(gate.len(), BLOCK, |start, y| {
        vectorized(
            #[inline(always)]
            || {
                for ((y, &gate), &up) in y.iter_mut().zip(&gate[start..]).zip(&up[start..]) {
                    *y = curve(gate).0 * up;
                }
            },
        );
    })
}

/// The gradients take the places of the gate and of the output's gradient.
fn differentiate_gate(
    (gate, up, gradient): (&mut [f32], &[f32], &mut [f32]),
    curve: impl Fn(f32) -> (f32, f32) + Sync,
) {
    gate.par_chunks_mut(BLOCK)
        .zip(up.par_chunks(BLOCK))
        .zip(gradient.par_chunks_mut(BLOCK))
        .for_each(|((gate, up), gradient)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((gate, &up), gradient) in gate.iter_mut().zip(up).zip(gradient) {
                        let (value, slope) = curve(*gate);
                        *gate = *gradient * up * slope;
                        *gradient *= value;
                    }
                },
            );
        });
}
