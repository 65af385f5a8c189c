//! MinHash signatures and the bands in which they are compared (Broder, 1997).
//!
//! ```text
//! s_i = min over pieces x of h_i(x)          P(s_i(A) = s_i(B)) = J(A, B)
//! P(some band of r rows agrees in all) = 1 − (1 − Jʳ)ᵇ
//! ```

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values of a signature.
const VALUES: usize = 128;

/// The hash functions, multiply and add modulo 2⁶⁴, of which the upper half counts.
#[derive(Clone, Debug)]
pub(super) struct Hashes {
    multipliers: [u64; VALUES],
    offsets: [u64; VALUES],
}

impl Hashes {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self {
            multipliers: std::array::from_fn(|_| rng.random::<u64>() | 1),
            offsets: std::array::from_fn(|_| rng.random()),
        }
    }

    pub(super) fn signature(&self, pieces: &[u64]) -> [u32; VALUES] {
        let mut signature = [u32::MAX; VALUES];
        for &piece in pieces {
            for (value, (multiplier, offset)) in signature
                .iter_mut()
                .zip(self.multipliers.iter().zip(&self.offsets))
            {
                let hash = piece.wrapping_mul(*multiplier).wrapping_add(*offset);
                *value = (*value).min((hash >> 32) as u32);
            }
        }
        signature
    }
}

/// How a signature is cut: records that agree in a whole band are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bands {
    pub(super) bands: usize,
    pub(super) rows: usize,
}

impl Bands {
    /// The fewest comparisons that find a pair at `threshold` with probability `recall`: the widest
    /// bands that still do.
    pub(super) fn finding(threshold: f64, recall: f64) -> Self {
        (1..=VALUES)
            .rev()
            .map(|rows| Self {
                bands: VALUES / rows,
                rows,
            })
            .find(|bands| bands.finds(threshold) >= recall)
            .unwrap_or(Self {
                bands: VALUES,
                rows: 1,
            })
    }

    /// Probability that a pair of this similarity is compared.
    pub(super) fn finds(self, similarity: f64) -> f64 {
        let agree = similarity.powi(i32::try_from(self.rows).unwrap_or(i32::MAX));
        1.0 - (1.0 - agree).powi(i32::try_from(self.bands).unwrap_or(i32::MAX))
    }

    /// A hash for each band of a signature.
    pub(super) fn of(self, signature: &[u32; VALUES]) -> impl Iterator<Item = u64> {
        signature
            .chunks_exact(self.rows)
            .take(self.bands)
            .map(|rows| {
                let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
                xxhash_rust::xxh3::xxh3_64(&bytes)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_of_signatures_estimates_the_overlap() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let pieces: Vec<u64> = (0..3000).map(|_| rng.random()).collect();
        // 2,000 pieces each, 1,000 in common: a third of the union.
        let hashes = Hashes::new(7);
        let (a, b) = (
            hashes.signature(&pieces[..2000]),
            hashes.signature(&pieces[1000..]),
        );
        let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count();
        let share = equal as f64 / VALUES as f64;
        // Three standard deviations of a binomial share.
        assert!(
            (share - 1.0 / 3.0).abs() < 3.0 * (2.0 / 9.0 / VALUES as f64).sqrt(),
            "{share}"
        );
    }

    #[test]
    fn bands_are_as_wide_as_the_recall_allows() {
        let bands = Bands::finding(0.8, 0.99);
        assert!(bands.finds(0.8) >= 0.99);
        let wider = Bands {
            bands: VALUES / (bands.rows + 1),
            rows: bands.rows + 1,
        };
        assert!(wider.finds(0.8) < 0.99, "{bands:?}");
    }
}
