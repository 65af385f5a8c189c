//! The natural logarithm, in a form that vectorizes.

/// `ln x` of a normal positive number, to about two units in the last place; of smaller ones, that of
/// the smallest normal number.
///
/// ```text
/// x = 2^e · m, √½ ≤ m < √2     ln x = e · ln 2 + ln m
/// ```
///
/// `ln m` is `f − f²/2 + f³ · P(f)` with f = m − 1 and the coefficients of Cephes' `logf`.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let x = if x < f32::MIN_POSITIVE {
        f32::MIN_POSITIVE
    } else {
        x
    };
    let exponent = (x.to_bits().wrapping_sub(ROOT_HALF)).cast_signed() >> 23;
    let mantissa = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23).cast_unsigned()));
    let e = exponent as f32;
    let f = mantissa - 1.0;
    let p = 7.037_683_6e-2_f32.mul_add(f, -1.151_461e-1);
    let p = p.mul_add(f, 1.167_699_9e-1);
    let p = p.mul_add(f, -1.242_014_1e-1);
    let p = p.mul_add(f, 1.424_932_3e-1);
    let p = p.mul_add(f, -1.666_805_8e-1);
    let p = p.mul_add(f, 2.000_071_5e-1);
    let p = p.mul_add(f, -2.499_999_4e-1);
    let p = p.mul_add(f, 3.333_333e-1);
    let square = f * f;
    let tail = (p * f).mul_add(square, -0.5 * square);
    // ln 2 in two parts, the first with few bits, so that its product with e is exact.
    let tail = e.mul_add(-2.121_944_4e-4, tail);
    // NaN has an exponent and a mantissa too, and must not become a number.
    if x.is_nan() {
        x
    } else {
        e.mul_add(0.693_359_4, f + tail)
    }
}

#[cfg(test)]
mod tests {
    use super::ln;

    #[test]
    fn it_is_accurate_over_many_powers_of_two() {
        for i in 1..200_000 {
            for scale in [1e-37, 1e-10, 1e-4, 1e-2, 1e3] {
                let x = scale * i as f32;
                let exact = f64::from(x).ln();
                let error = (f64::from(ln(x)) - exact).abs();
                assert!(
                    error <= 2e-7 * exact.abs().max(0.5),
                    "ln {x} is off by {error:e}"
                );
            }
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn what_is_not_a_normal_number_stays_finite() {
        assert_eq!(ln(0.0), ln(f32::MIN_POSITIVE));
        assert_eq!(ln(-1.0), ln(f32::MIN_POSITIVE));
        assert!(ln(f32::NAN).is_nan());
    }
}
