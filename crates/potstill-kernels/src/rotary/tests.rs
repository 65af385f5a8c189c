//! Tests of rotary.

use burn::prelude::*;
use potstill_testkit::{Tolerance, assert_close, plain_device, values};
use proptest::prelude::*;

use super::rotate_halves;
use crate::check::{assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal};

/// Turns `x` by angles that depend on position and channel.
fn operation(x: Tensor<2>, [batch, seq, heads, half]: [usize; 4]) -> Tensor<4> {
    let steps = |n: usize| {
        Tensor::<1, Int>::arange(0..n as i64, &x.device())
            .float()
            .cast(x.dtype())
    };
    let angles = steps(batch * seq).reshape([-1, 1]) * (steps(half) + 0.5).reshape([1, -1]);
    let heads = x.reshape([batch, seq, heads, 2 * half]);
    rotate_halves(heads, angles.clone().cos(), angles.sin())
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    assert_gradients(&[normal([6, 8], 1)], |[x]| operation(x, [2, 3, 2, 2]));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let inputs = [normal([134, 24], 7)];
    assert_threads_change_nothing(&inputs, |[x]| operation(x, [2, 67, 3, 4]));
}

#[test]
fn a_quarter_turn_swaps_the_halves() {
    let device = plain_device();
    let x = Tensor::<4>::from_floats([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
    let y = rotate_halves(
        x,
        Tensor::zeros([1, 2], &device),
        Tensor::ones([1, 2], &device),
    );
    assert_eq!(values(&y), [-3.0, -4.0, 1.0, 2.0]);
}

#[test]
fn an_input_that_is_still_needed_stays_as_it_is() {
    let device = plain_device();
    let x = Tensor::<4>::from_floats([[[[1.0, 2.0]]]], &device);
    let zero = Tensor::<2>::zeros([1, 1], &device);
    let _ = rotate_halves(x.clone(), zero.clone(), zero + 1.0);
    assert_eq!(values(&x), [1.0, 2.0]);
}

#[test]
fn a_view_is_turned_like_its_copy() {
    let device = plain_device();
    let (x, shape) = normal([5, 24], 3);
    let x = Tensor::<2>::from_data(TensorData::new(x, shape), &device);
    let view = x.narrow(1, 8, 8);
    let copy = Tensor::<2>::from_data(view.to_data(), &device);
    let [view, copy] = [view, copy].map(|x| values(&operation(x, [1, 5, 2, 2])));
    assert_close(
        &view,
        &copy,
        Tolerance {
            absolute: 0.0,
            relative: 0.0,
        },
    );
}

proptest! {
    #[test]
    fn flex_agrees_with_the_portable_body(
        dims in [1usize..4, 1..50, 1..5, 1..20],
        seed: u16,
    ) {
        let [batch, seq, heads, half] = dims;
        let inputs = [normal([batch * seq, heads * 2 * half], u64::from(seed))];
        assert_bodies_agree(&inputs, 2, |[x]| {
            // Small angles: f32 has few digits for the others.
            let device = x.device();
            let angles = Tensor::<1, Int>::arange(0..(batch * seq * half) as i64, &device).float().cast(x.dtype());
            let angles = (angles * 1e-2).reshape([batch * seq, half]);
            let x = x.reshape([batch, seq, heads, 2 * half]);
            rotate_halves(x, angles.clone().cos(), angles.sin())
        });
    }
}
