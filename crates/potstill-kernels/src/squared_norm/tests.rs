//! The sum of squares against itself in f64.

use burn::prelude::*;
use potstill_testkit::{normals, plain_device};
use proptest::prelude::*;

use super::squared_norm;

fn norm(values: &[f64]) -> f32 {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    let shape = [values.len()];
    let x = Tensor::<1>::from_data(TensorData::new(values, shape), &plain_device());
    squared_norm(x).into_scalar()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let values = normals(100_003, 1.0, 1);
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started")
            .install(|| norm(&values))
    };
    assert_eq!(with_threads(1).to_bits(), with_threads(3).to_bits());
}

#[test]
fn what_is_not_finite_shows() {
    assert!(norm(&[1.0, f64::NAN]).is_nan());
    assert!(norm(&[1.0, f64::INFINITY]).is_infinite());
}

proptest! {
    #[test]
    fn it_is_the_sum_of_squares(count in 0usize..70_000, seed: u16) {
        let values = normals(count, 1.0, seed.into());
        let exact: f64 = values.iter().map(|value| value * value).sum();
        let error = (f64::from(norm(&values)) - exact).abs();
        prop_assert!(error <= 1e-5 * exact, "{error} of {exact}");
    }
}
