//! Tests of product.

use potstill_testkit::{Tolerance, assert_close, normals};
use proptest::prelude::*;

use super::*;

fn values(count: usize, seed: u64) -> Vec<f32> {
    normals(count, 1.0, seed)
        .iter()
        .map(|&v| v as f32)
        .collect()
}

fn exact(left: &[f32], right: &[f32], [rows, depth, columns]: [usize; 3]) -> Vec<f64> {
    let at = |i: usize, j: usize| {
        let terms =
            (0..depth).map(|k| f64::from(left[i * depth + k]) * f64::from(right[k * columns + j]));
        terms.sum::<f64>()
    };
    (0..rows * columns)
        .map(|index| at(index / columns, index % columns))
        .collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn transposed(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    (0..rows * columns)
        .map(|index| values[index % rows * columns + index / rows])
        .collect()
}

#[test]
fn a_tile_of_a_larger_matrix_leaves_the_rest_alone() {
    let mut out = vec![7.0; 3 * 4];
    let (left, right) = ([1.0, 2.0], [3.0, 5.0]);
    product(
        MatrixMut::strided(&mut out[1..], [2, 2], 4),
        Matrix::new(&left, [2, 1]),
        Matrix::new(&right, [1, 2]),
        1.0,
        true,
        Threads::One,
    );
    let expected = [7., 10., 12., 7., 7., 13., 17., 7., 7., 7., 7., 7.];
    assert_eq!(out, expected);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [rows, depth, columns] = [67, 1031, 301];
    let (left, right) = (values(rows * depth, 1), values(depth * columns, 2));
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started").install(|| {
            let mut out = Vec::new();
            let left = Matrix::new(&left, [rows, depth]);
            let right = Matrix::new(&right, [depth, columns]);
            product_into(&mut out, left, right, 1.0, Threads::All);
            out
        })
    };
    assert_eq!(with_threads(1), with_threads(3));
}

#[test]
fn blocks_add_up() {
    let long = 2 * BLOCK + 3;
    for [rows, depth, columns] in [[2, 3, long], [2, long, 3], [long, 2, 3]] {
        let (left, right) = (values(rows * depth, 1), values(depth * columns, 2));
        let expected = exact(&left, &right, [rows, depth, columns]);
        let mut out = Vec::new();
        let left = Matrix::new(&left, [rows, depth]);
        let right = Matrix::new(&right, [depth, columns]);
        product_into(&mut out, left, right, 1.0, Threads::All);
        assert_close(
            &widened(&out),
            &expected,
            Tolerance {
                absolute: 1e-3,
                relative: 1e-4,
            },
        );
    }
}

#[test]
#[should_panic(expected = "larger than its 5 values")]
fn a_matrix_that_its_values_do_not_fill_is_refused() {
    let _ = Matrix::new(&[0.0; 5], [2, 3]);
}

#[test]
#[should_panic(expected = "as many columns as the right one has rows")]
fn factors_that_do_not_fit_are_refused() {
    let zeros = [0.0; 6];
    let factor = Matrix::new(&zeros, [2, 3]);
    product_into(&mut Vec::new(), factor, factor, 1.0, Threads::One);
}

proptest! {
    #[test]
    fn products_of_all_layouts_agree_with_the_definition(
        rows in 0usize..40,
        depth in 0usize..40,
        columns in 0usize..40,
        seed: u16,
    ) {
        let seed = u64::from(seed);
        let shape = [rows, depth, columns];
        let (left, right) = (values(rows * depth, seed), values(depth * columns, seed + 1));
        let (left_t, right_t) = (
            transposed(&left, [rows, depth]),
            transposed(&right, [depth, columns]),
        );
        let expected = exact(&left, &right, shape);
        let lefts = [
            Matrix::new(&left, [rows, depth]),
            Matrix::new(&left_t, [depth, rows]).transposed(),
        ];
        let rights = [
            Matrix::new(&right, [depth, columns]),
            Matrix::new(&right_t, [columns, depth]).transposed(),
        ];
        for (left, right) in lefts.into_iter().zip(rights) {
            let mut out = vec![f32::NAN; 3];
            product_into(&mut out, left, right, 2.0, Threads::All);
            let doubled: Vec<f64> = expected.iter().map(|value| 2.0 * value).collect();
            assert_close(&widened(&out), &doubled, Tolerance { absolute: 1e-4, relative: 1e-4 });
            let sum = MatrixMut::new(&mut out, [rows, columns]);
            product(sum, left, right, -1.0, true, Threads::One);
            assert_close(&widened(&out), &expected, Tolerance { absolute: 1e-4, relative: 1e-4 });
        }
    }
}
