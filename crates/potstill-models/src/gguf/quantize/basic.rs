//! Q8_0, Q5_0 and Q4_0: 32 values share a scale. The layouts are those of the decoder.

use super::inverse;

/// 32 signed bytes behind their scale, the largest magnitude over 127.
pub(super) fn q8_0(values: &[f32], block: &mut [u8]) {
    let largest = values
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    block[..2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
    for (byte, value) in block[2..].iter_mut().zip(values) {
        *byte = ((value * inverse).round() as i8).cast_unsigned();
    }
}

/// 32 numbers from 0 to 31, of which 16 is zero, behind their scale and the mask of their fifth bits.
pub(super) fn q5_0(values: &[f32], block: &mut [u8]) {
    let number = signed_steps(values, 16, block);
    let mut fifth = 0u32;
    let (low, high) = values.split_at(16);
    for (index, (&low, &high)) in low.iter().zip(high).enumerate() {
        let (low, high) = (number(low), number(high));
        block[6 + index] = low & 0x0f | high << 4;
        fifth |= u32::from(low >> 4) << index | u32::from(high >> 4) << (index + 16);
    }
    block[2..6].copy_from_slice(&fifth.to_le_bytes());
}

/// 32 numbers from 0 to 15, of which 8 is zero, behind their scale; the second half lies in the
/// upper bits of the first.
pub(super) fn q4_0(values: &[f32], block: &mut [u8]) {
    let number = signed_steps(values, 8, block);
    let (low, high) = values.split_at(16);
    for ((byte, &low), &high) in block[2..].iter_mut().zip(low).zip(high) {
        *byte = number(low) | number(high) << 4;
    }
}

/// Writes the scale that puts the value furthest from zero at `-zero` steps, and returns the number
/// of a value, from 0 to `2 * zero - 1`.
fn signed_steps(values: &[f32], zero: u8, block: &mut [u8]) -> impl Fn(f32) -> u8 + use<> {
    let furthest = values.iter().fold(0.0f32, |furthest, &value| {
        if value.abs() > furthest.abs() {
            value
        } else {
            furthest
        }
    });
    let scale = furthest / -f32::from(zero);
    let inverse = inverse(scale);
    block[..2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
    move |value| ((value * inverse + f32::from(zero) + 0.5) as u8).min(2 * zero - 1)
}
