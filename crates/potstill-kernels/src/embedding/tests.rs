//! Tests of embedding.

use burn::prelude::*;
use potstill_testkit::{autodiff_device, values};

use super::embedding;
use crate::check::{assert_gradients, normal};

fn ids(device: &Device) -> Tensor<2, Int> {
    Tensor::from_ints([[1, 3, 1], [0, 1, 3]], device)
}

#[test]
fn rows_are_looked_up() {
    let device = autodiff_device();
    let table = Tensor::<2>::from_floats([[0.0, 1.0], [2.0, 3.0]], &device);
    let rows = embedding(table, Tensor::from_ints([[1, 0, 1]], &device));
    assert_eq!(rows.dims(), [1, 3, 2]);
    assert_eq!(values(&rows), [2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    assert_gradients(&[normal([5, 2], 1)], |[table]| {
        let ids = ids(&table.device());
        embedding(table, ids)
    });
}

#[test]
fn a_table_that_is_the_head_as_well_gets_both_gradients() {
    let tied = |[table]: [Tensor<2>; 1]| {
        let ids = ids(&table.device());
        let x = embedding(table.clone(), ids).reshape([6, 2]);
        x.tanh().matmul(table.transpose())
    };
    assert_gradients(&[normal([5, 2], 1)], tied);
}

#[test]
fn a_table_that_is_looked_up_twice_gets_both_gradients() {
    assert_gradients(&[normal([5, 2], 1)], |[table]| {
        let ids = ids(&table.device());
        embedding(table.clone(), ids.clone()) * embedding(table, ids).sin()
    });
}

#[test]
fn a_table_that_was_computed_gets_its_gradient() {
    assert_gradients(&[normal([5, 2], 1)], |[table]| {
        let ids = ids(&table.device());
        let table = table.sin();
        embedding(table.clone(), ids)
            .reshape([6, 2])
            .matmul(table.transpose())
    });
}
