//! Random values that are the same every time.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `count` draws from a normal distribution with mean 0 and standard deviation `scale`.
#[must_use]
pub fn normals(count: usize, scale: f64, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            // Box and Muller; 1 − u keeps the logarithm away from 0.
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            scale * radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
        })
        .collect()
}

/// `count` draws from the uniform distribution on `[0, 1)`.
#[must_use]
pub fn uniforms(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random::<f64>()).collect()
}

/// A strategy for `rows × vocab` logits between `-scale` and `scale`.
pub fn logits(rows: usize, vocab: usize, scale: f64) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(-scale..scale, rows * vocab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_standard_normal_and_repeatable() {
        let draws = normals(20_000, 1.0, 7);
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
        assert_eq!(draws, normals(20_000, 1.0, 7));
        assert_ne!(draws[..4], normals(4, 1.0, 8)[..]);
    }
}
