//! Nonlinearities of f32 in host memory.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use rayon::prelude::*;

use super::scalar::{gelu, gelu_tanh, silu};
use super::{Activation, ActivationBackend, portable};
use crate::host::{HostBackend, Values, ValuesMut, is_fused, vectorized};

/// Values of one task.
const BLOCK: usize = 8192;

impl<B: HostBackend> ActivationBackend for B {
    fn activate(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x]) {
            return portable::activate::<B>(x, activation);
        }
        let shape = x.shape();
        let x = Values::<B>::of(x);
        match activation {
            Activation::Silu => mapped::<B>(x.as_slice(), shape, silu),
            Activation::Gelu => mapped::<B>(x.as_slice(), shape, gelu),
            Activation::GeluTanh => mapped::<B>(x.as_slice(), shape, gelu_tanh),
        }
    }

    fn activate_backward(
        x: FloatTensor<B>,
        gradient: FloatTensor<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        if !is_fused::<B, _>([&x, &gradient]) {
            return portable::activate_backward::<B>(x, gradient, activation);
        }
        let (x, mut gradient) = (Values::<B>::of(x), ValuesMut::<B>::of(gradient));
        let slopes = (x.as_slice(), gradient.as_mut_slice());
        match activation {
            Activation::Silu => multiply_by_slope(slopes, silu),
            Activation::Gelu => multiply_by_slope(slopes, gelu),
            Activation::GeluTanh => multiply_by_slope(slopes, gelu_tanh),
        }
        gradient.into_tensor()
    }

    fn gated(gate: FloatTensor<B>, up: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
        if !is_fused::<B, _>([&gate, &up]) {
            return portable::gated::<B>(gate, up, activation);
        }
        let shape = gate.shape();
        let (gate, up) = (Values::<B>::of(gate), Values::<B>::of(up));
        let inputs = (gate.as_slice(), up.as_slice());
        match activation {
            Activation::Silu => gate_values::<B>(inputs, shape, silu),
            Activation::Gelu => gate_values::<B>(inputs, shape, gelu),
            Activation::GeluTanh => gate_values::<B>(inputs, shape, gelu_tanh),
        }
    }

    fn gated_backward(
        gate: FloatTensor<B>,
        up: FloatTensor<B>,
        gradient: FloatTensor<B>,
        activation: Activation,
    ) -> (FloatTensor<B>, FloatTensor<B>) {
        if !is_fused::<B, _>([&gate, &up, &gradient]) {
            return portable::gated_backward::<B>(gate, up, gradient, activation);
        }
        let (mut gate, up, mut gradient) = (
            ValuesMut::<B>::of(gate),
            Values::<B>::of(up),
            ValuesMut::<B>::of(gradient),
        );
        let rows = (gate.as_mut_slice(), up.as_slice(), gradient.as_mut_slice());
        match activation {
            Activation::Silu => differentiate_gate(rows, silu),
            Activation::Gelu => differentiate_gate(rows, gelu),
            Activation::GeluTanh => differentiate_gate(rows, gelu_tanh),
        }
        (gate.into_tensor(), gradient.into_tensor())
    }
}

fn mapped<B: HostBackend>(
    x: &[f32],
    shape: Shape,
    curve: impl Fn(f32) -> (f32, f32) + Sync,
) -> FloatTensor<B> {
    B::filled(shape, BLOCK, |start, y| {
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

fn gate_values<B: HostBackend>(
    (gate, up): (&[f32], &[f32]),
    shape: Shape,
    curve: impl Fn(f32) -> (f32, f32) + Sync,
) -> FloatTensor<B> {
    B::filled(shape, BLOCK, |start, y| {
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
