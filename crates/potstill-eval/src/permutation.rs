//! The sign-flip permutation test.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, number};

/// Flips the signs of paired differences to see how often chance alone gives a mean as far from 0.
///
/// If neither of two models is better, which of them got which score of an item was a coin's choice.
/// All choices are tried when there are no more than [`flips`](Self::flips) of them, and that many
/// random ones otherwise; then what was found counts as one of the flips, so that no p-value is 0.
/// Items of one cluster are flipped together.
/// Fisher, *The Design of Experiments*, 1935, section 21; Phipson and Smyth, *Permutation P-values
/// Should Never Be Zero*, 2010, arXiv:1603.05766.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignFlips {
    /// Number of flips that are tried.
    pub flips: usize,
    /// Seed of random flips.
    pub seed: u64,
}

impl SignFlips {
    /// 10 000 flips.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            flips: 10_000,
            seed,
        }
    }

    /// The two-sided p-value of `sums`, the differences of each cluster summed.
    ///
    /// # Errors
    ///
    /// When there are no flips.
    pub(crate) fn p_value(&self, sums: &[f64]) -> Result<f64, Error> {
        if self.flips == 0 {
            return Err(Error::Setting {
                name: "flips",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        let found = sums.iter().sum::<f64>().abs();
        // Sums of the same numbers in another order differ by rounding.
        let slack = 1e-12 * sums.iter().map(|sum| sum.abs()).sum::<f64>();
        let is_as_far = |flipped: f64| flipped.abs() >= found - slack;
        if let Some(all) = self.all_flips(sums.len()) {
            let flipped = |signs: usize| -> f64 {
                let sign = |place: usize| if signs >> place & 1 == 1 { -1.0 } else { 1.0 };
                sums.iter()
                    .enumerate()
                    .map(|(place, sum)| sign(place) * sum)
                    .sum()
            };
            let far = (0..all).filter(|&signs| is_as_far(flipped(signs))).count();
            return Ok(far as f64 / all as f64);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut far = 0;
        for _ in 0..self.flips {
            let flipped: f64 = sums
                .chunks(64)
                .map(|chunk| {
                    let signs = rng.next_u64();
                    let sign = |place: usize| if signs >> place & 1 == 1 { -1.0 } else { 1.0 };
                    chunk
                        .iter()
                        .enumerate()
                        .map(|(place, sum)| sign(place) * sum)
                        .sum::<f64>()
                })
                .sum();
            far += usize::from(is_as_far(flipped));
        }
        Ok((far + 1) as f64 / (self.flips + 1) as f64)
    }

    /// A p-value of these flips for people: `p = 0.0312`, or `p ≤ 0.0001` where no random flip was as far
    /// from 0 as what was found, so that more of them may have given less.
    #[must_use]
    pub fn describe(&self, p_value: f64) -> String {
        number::p_value(p_value, self.is_bound(p_value))
    }

    /// Whether a p-value is the smallest that random flips can give.
    pub(crate) fn is_bound(&self, p_value: f64) -> bool {
        // That of all flips is at least 2 in as many, so it is never taken for one.
        p_value <= 1.0 / (self.flips + 1) as f64
    }

    /// No `clusters` differences have a smaller p-value, whatever they are.
    pub(crate) fn smallest_p_value(&self, clusters: usize) -> f64 {
        match self.all_flips(clusters) {
            Some(all) => (2.0 / all as f64).min(1.0),
            None => 1.0 / (self.flips + 1) as f64,
        }
    }

    /// The number of all flips of `clusters` differences, if they are tried.
    fn all_flips(&self, clusters: usize) -> Option<usize> {
        let all = 1_usize.checked_shl(u32::try_from(clusters).ok()?)?;
        (all <= self.flips).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flip_of_few_differences_is_tried() {
        // Of the 8 sums of ±1 ±2 ±3 only 6 and −6 are as far from 0.
        let flips = SignFlips::new(0);
        assert_eq!(flips.p_value(&[1.0, 2.0, 3.0]).unwrap(), 0.25);
        assert_eq!(flips.p_value(&[1.0, -1.0]).unwrap(), 1.0);
        assert_eq!(flips.p_value(&[0.0; 5]).unwrap(), 1.0);
    }

    #[test]
    fn differences_that_all_point_one_way_have_the_smallest_p_value() {
        for clusters in [1, 2, 5, 13, 14, 70] {
            let flips = SignFlips::new(0);
            let found = flips.p_value(&vec![1.0; clusters]).unwrap();
            let smallest = flips.smallest_p_value(clusters);
            // Random flips may hit the same again.
            assert!(
                smallest <= found && found < 6.0 * smallest,
                "{clusters}: {found}"
            );
        }
    }

    #[test]
    fn random_flips_come_close_to_all_of_them() {
        let sums: Vec<f64> = (0..12).map(|n| f64::from(n * n % 7) - 1.5).collect();
        let all = SignFlips {
            flips: 1 << 12,
            seed: 0,
        }
        .p_value(&sums)
        .unwrap();
        let random = SignFlips {
            flips: 4095,
            seed: 0,
        }
        .p_value(&sums)
        .unwrap();
        assert!((all - random).abs() < 0.02, "{all} {random}");
    }

    #[test]
    fn only_the_smallest_value_of_random_flips_is_a_bound() {
        let flips = SignFlips::new(0);
        let found = |sums: &[f64]| flips.describe(flips.p_value(sums).unwrap());
        assert_eq!(found(&[1.0; 100]), "p ≤ 0.0001");
        // All 8,192 flips are tried, so this is exact.
        assert_eq!(found(&[1.0; 13]), "p = 0.0002");
        assert_eq!(found(&[1.0, -1.0]), "p = 1.0000");
    }

    #[test]
    fn no_p_value_is_zero() {
        let flips = SignFlips { flips: 99, seed: 3 };
        assert_eq!(flips.p_value(&[1.0; 200]).unwrap(), 0.01);
        let none = SignFlips { flips: 0, seed: 0 };
        assert!(
            none.p_value(&[1.0])
                .unwrap_err()
                .to_string()
                .contains("flips is 0")
        );
    }
}
