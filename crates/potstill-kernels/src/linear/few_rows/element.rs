//! The dtypes of weights.

use half::{bf16, f16};

/// A number that a weight can be, and that widens to f32 without loss, in a form that vectorizes.
pub(super) trait Element: Copy + Sync {
    fn widen(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        // f16 has 10 bits of fraction and 5 of exponent with a bias of 15, f32 has 23 and 8 with 127.
        const FRACTION: u32 = 23 - 10;
        const BIAS: u32 = (127 - 15) << 23;
        let bits = u32::from(self.to_bits());
        let magnitude = (bits & 0x7fff) << FRACTION;
        let wide = match bits & 0x7c00 {
            // Infinite or not a number: its exponent is the largest there, too.
            0x7c00 => f32::from_bits(magnitude + 2 * BIAS),
            // Less than the smallest normal number m: f32 reads it as m more.
            0 => f32::from_bits(magnitude + BIAS + (1 << 23)) - f32::from_bits(BIAS + (1 << 23)),
            _ => f32::from_bits(magnitude + BIAS),
        };
        f32::from_bits(wide.to_bits() | (bits & 0x8000) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_precision_number_widens_as_it_should() {
        for bits in 0..=u16::MAX {
            let (brain, half) = (bf16::from_bits(bits), f16::from_bits(bits));
            for (found, expected) in [
                (brain.widen(), brain.to_f32()),
                (half.widen(), half.to_f32()),
            ] {
                assert!(
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                    "{bits:#06x}: {found} instead of {expected}"
                );
            }
        }
    }
}
