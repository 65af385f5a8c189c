//! Q4_K: eight sub-blocks of 32 values, each with a scale and a minimum of six bits.
//!
//! A sub-block is `scale · q − minimum` with `q` from 0 to 15. Rounding to evenly spaced values over the
//! whole range wastes steps on rare ends, so several spacings are tried; for each, the rounded numbers
//! give the best scale and minimum in closed form,
//!
//! ```text
//! argmin_{s, m}  Σ w (s · q − m − x)²        w = √(mean x²) + |x|
//! ```
//!
//! and the pair with the least error is kept. Large weights count more, since a product is off by what
//! its largest factors are off.

use super::inverse;

const SUB_BLOCK: usize = 32;
const SUB_BLOCKS: usize = 8;
/// Largest quantized value.
const LARGEST: f32 = 15.0;
/// Largest quantized scale or minimum.
const LARGEST_SCALE: f32 = 63.0;
/// Tried spacings make the range 14 to 16 steps wide, by tenths.
const SPACINGS: usize = 21;

/// `x ≈ scale · q − minimum`, neither negative.
#[derive(Clone, Copy, Default)]
struct Steps {
    scale: f32,
    minimum: f32,
}

impl Steps {
    fn number(self, value: f32) -> f32 {
        ((value + self.minimum) * inverse(self.scale))
            .round()
            .clamp(0.0, LARGEST)
    }
}

/// Scale and minimum of the super-block, twelve bytes of six-bit pairs, 128 of numbers.
pub(super) fn q4_k(values: &[f32], block: &mut [u8]) {
    let mut steps = [Steps::default(); SUB_BLOCKS];
    for (steps, values) in steps.iter_mut().zip(values.chunks_exact(SUB_BLOCK)) {
        *steps = best_steps(values);
    }
    let largest = |of: fn(&Steps) -> f32| steps.iter().map(of).fold(0.0, f32::max);
    let half = |value: f32| half::f16::from_f32(value);
    let d = largest(|steps| steps.scale) / LARGEST_SCALE;
    let d_min = largest(|steps| steps.minimum) / LARGEST_SCALE;
    block[..2].copy_from_slice(&half(d).to_le_bytes());
    block[2..4].copy_from_slice(&half(d_min).to_le_bytes());
    let (stored_d, stored_d_min) = (half(d).to_f32(), half(d_min).to_f32());

    let (pairs, numbers) = block[4..].split_at_mut(12);
    pairs.fill(0);
    numbers.fill(0);
    for (index, (steps, values)) in steps.iter().zip(values.chunks_exact(SUB_BLOCK)).enumerate() {
        let six_bits = |value: f32, unit: f32| (value * inverse(unit)).round().min(LARGEST_SCALE);
        let (scale, minimum) = (six_bits(steps.scale, d), six_bits(steps.minimum, d_min));
        put_pair(pairs, index, scale as u8, minimum as u8);
        // What the decoder will multiply with.
        let stored = Steps {
            scale: stored_d * scale,
            minimum: stored_d_min * minimum,
        };
        let bytes = &mut numbers[SUB_BLOCK * (index / 2)..];
        for (byte, &value) in bytes.iter_mut().zip(values) {
            *byte |= (stored.number(value) as u8) << (4 * (index % 2));
        }
    }
}

fn best_steps(values: &[f32]) -> Steps {
    let least = values.iter().copied().fold(0.0, f32::min);
    let range = values.iter().copied().fold(least, f32::max) - least;
    if range <= 0.0 {
        // All the same, and not positive.
        let (scale, minimum) = (0.0, -least);
        return Steps { scale, minimum };
    }
    let squares: f32 = values.iter().map(|value| value * value).sum();
    let typical = (squares / values.len() as f32).sqrt();
    let mut best = Steps {
        scale: range / LARGEST,
        minimum: -least,
    };
    let mut least_error = weighted_error(values, typical, best);
    for spacing in 0..SPACINGS {
        let wide = LARGEST - 1.0 + spacing as f32 / 10.0;
        let rounding = Steps {
            scale: range / wide,
            minimum: -least,
        };
        let Some(fitted) = fitted(values, typical, rounding) else {
            continue;
        };
        let error = weighted_error(values, typical, fitted);
        if error < least_error {
            (best, least_error) = (fitted, error);
        }
    }
    best
}

/// The scale and minimum that are best for the numbers that `rounding` gives.
fn fitted(values: &[f32], typical: f32, rounding: Steps) -> Option<Steps> {
    let (mut w, mut wq, mut wqq, mut wx, mut wqx) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &x in values {
        let (weight, q) = (typical + x.abs(), rounding.number(x));
        w += weight;
        wq += weight * q;
        wqq += weight * q * q;
        wx += weight * x;
        wqx += weight * q * x;
    }
    let determinant = w * wqq - wq * wq;
    if determinant <= 0.0 {
        return None;
    }
    let scale = (w * wqx - wq * wx) / determinant;
    let minimum = (wq * wqx - wqq * wx) / determinant;
    let steps = if minimum < 0.0 {
        // A minimum is never added, so the best without one.
        let (scale, minimum) = (wqx / wqq, 0.0);
        Steps { scale, minimum }
    } else {
        Steps { scale, minimum }
    };
    (steps.scale > 0.0).then_some(steps)
}

fn weighted_error(values: &[f32], typical: f32, steps: Steps) -> f32 {
    let error = |&x: &f32| {
        let apart = steps.scale * steps.number(x) - steps.minimum - x;
        (typical + x.abs()) * apart * apart
    };
    values.iter().map(error).sum()
}

/// The first four pairs fill the lower six bits of eight bytes; of the others, the lower four bits are
/// in the last four bytes and the upper two on top of the first eight.
fn put_pair(pairs: &mut [u8], index: usize, scale: u8, minimum: u8) {
    if index < 4 {
        pairs[index] |= scale;
        pairs[index + 4] |= minimum;
    } else {
        pairs[index + 4] = scale & 0x0f | minimum << 4;
        pairs[index - 4] |= scale >> 4 << 6;
        pairs[index] |= minimum >> 4 << 6;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{BlockType, dequantize, quantize};

    fn restored(block_type: BlockType, values: &[f32]) -> Vec<f32> {
        dequantize(block_type, &quantize(block_type, values).unwrap()).unwrap()
    }

    fn squared_error(values: &[f32], restored: &[f32]) -> f32 {
        let apart = values.iter().zip(restored).map(|(a, b)| (a - b) * (a - b));
        apart.sum()
    }

    /// Sums of uniform numbers, which are nearly normal, as weights are.
    fn like_weights(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut uniform = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count)
            .map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 0.02)
            .collect()
    }

    #[test]
    fn of_weights_it_keeps_more_than_q4_0_in_as_many_bits() {
        let values = like_weights(256 * 64);
        let error = |block_type| squared_error(&values, &restored(block_type, &values));
        let (q4_k, q4_0) = (error(BlockType::Q4K), error(BlockType::Q4_0));
        assert!(q4_k < 0.8 * q4_0, "{q4_k} {q4_0}");
        assert_eq!(
            BlockType::Q4K.bytes_per_block(),
            8 * BlockType::Q4_0.bytes_per_block()
        );
    }

    #[test]
    fn sub_blocks_have_scales_of_their_own() {
        let values: Vec<f32> = (0..256u16)
            .map(|i| f32::from(1 + i / 32) * (f32::from(i % 16) - 3.0))
            .collect();
        for (value, restored) in values.iter().zip(restored(BlockType::Q4K, &values)) {
            assert!((value - restored).abs() < 0.15 * 8.0, "{value} {restored}");
        }
    }

    #[test]
    fn equal_values_stay_almost_equal() {
        for value in [-2.5f32, 3.0] {
            for restored in restored(BlockType::Q4K, &[value; 256]) {
                assert!((restored - value).abs() < 0.01, "{value} {restored}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_is_off_by_at_most_a_step(
            values in proptest::collection::vec(-9.0f32..9.0, 256),
        ) {
            for (value, restored) in values.iter().zip(restored(BlockType::Q4K, &values)) {
                prop_assert!((value - restored).abs() <= 18.0 / 15.0, "{value} {restored}");
            }
        }
    }
}
