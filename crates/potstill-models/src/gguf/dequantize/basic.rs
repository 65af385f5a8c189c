//! Q4_0 to Q8_0: 32 values share a scale `d`, and in the `_1` types a minimum `m`.
//!
//! ```text
//! Q4_0   d · (q − 8)       q: 4 bits, low nibbles are values 0 to 15, high ones 16 to 31
//! Q4_1   d · q + m
//! Q5_0   d · (q − 16)      q: 4 bits as above and a fifth from a 32-bit mask
//! Q5_1   d · q + m
//! Q8_0   d · q             q: signed byte
//! ```

use super::half;

const HALF_BLOCK: usize = 16;

pub(super) fn q4_0(block: &[u8], values: &mut [f32]) {
    let d = half(block, 0);
    let (low, high) = values.split_at_mut(HALF_BLOCK);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = d * (f32::from(byte & 0x0f) - 8.0);
        *high = d * (f32::from(byte >> 4) - 8.0);
    }
}

pub(super) fn q4_1(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    let (low, high) = values.split_at_mut(HALF_BLOCK);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&block[4..]) {
        *low = d * f32::from(byte & 0x0f) + m;
        *high = d * f32::from(byte >> 4) + m;
    }
}

pub(super) fn q5_0(block: &[u8], values: &mut [f32]) {
    let d = half(block, 0);
    five_bits(&block[2..], values, |q| d * (q - 16.0));
}

pub(super) fn q5_1(block: &[u8], values: &mut [f32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    five_bits(&block[4..], values, |q| d * q + m);
}

/// Four bytes of fifth bits, sixteen bytes of nibbles.
fn five_bits(packed: &[u8], values: &mut [f32], value: impl Fn(f32) -> f32) {
    let fifth = u32::from_le_bytes([packed[0], packed[1], packed[2], packed[3]]);
    let bit = |index: usize| if fifth >> index & 1 == 1 { 0x10 } else { 0 };
    let (low, high) = values.split_at_mut(HALF_BLOCK);
    for (index, ((low, high), &byte)) in low.iter_mut().zip(high).zip(&packed[4..]).enumerate() {
        *low = value(f32::from(byte & 0x0f | bit(index)));
        *high = value(f32::from(byte >> 4 | bit(index + HALF_BLOCK)));
    }
}

pub(super) fn q8_0(block: &[u8], values: &mut [f32]) {
    let d = half(block, 0);
    for (value, &byte) in values.iter_mut().zip(&block[2..]) {
        *value = d * f32::from(byte.cast_signed());
    }
}
