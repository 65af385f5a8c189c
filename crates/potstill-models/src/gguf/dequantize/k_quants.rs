//! Q2_K to Q6_K: super-blocks of 256 values whose sub-blocks have small quantized scales.
//!
//! ```text
//!        bytes                                                          value
//! Q2_K   scales 16 · q 64 · d · dmin                                    (d · s) · q − dmin · m
//! Q3_K   high bits 32 · q 64 · scales 12 · d                            (d · s) · (q − 4)
//! Q4_K   d · dmin · scales 12 · q 128                                   (d · s) · q − dmin · m
//! Q5_K   d · dmin · scales 12 · high bits 32 · q 128                    (d · s) · q − dmin · m
//! Q6_K   low bits 128 · high bits 64 · scales 16 · d                    (d · s) · (q − 32)
//! ```
//!
//! `d` and `dmin` are half-precision scales of the super-block, `s` and `m` the integer scale and
//! minimum of a sub-block of 16 (Q2_K, Q3_K, Q6_K) or 32 values.

use super::half;

pub(super) fn q2_k(block: &[u8], values: &mut [f32]) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (d, d_min) = (half(block, 80), half(block, 82));
    // A sub-block of 16 values is one pair of bits of 16 neighboring bytes.
    for (sub_block, values) in values.chunks_exact_mut(16).enumerate() {
        let (start, shift) = two_bit_place(sub_block);
        let scale = d * f32::from(scales[sub_block] & 0x0f);
        let minimum = d_min * f32::from(scales[sub_block] >> 4);
        for (value, &byte) in values.iter_mut().zip(&quants[start..]) {
            *value = scale * f32::from(byte >> shift & 3) - minimum;
        }
    }
}

pub(super) fn q3_k(block: &[u8], values: &mut [f32]) {
    let (high_bits, quants, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    for (sub_block, values) in values.chunks_exact_mut(16).enumerate() {
        let (start, shift) = two_bit_place(sub_block);
        let low = if sub_block < 8 {
            scales[sub_block] & 0x0f
        } else {
            scales[sub_block - 8] >> 4
        };
        let high = scales[8 + sub_block % 4] >> (2 * (sub_block / 4)) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        let high_bits = &high_bits[16 * (sub_block % 2)..];
        for ((value, &byte), &high) in values.iter_mut().zip(&quants[start..]).zip(high_bits) {
            let offset = if high >> (sub_block / 2) & 1 == 1 {
                0.0
            } else {
                4.0
            };
            *value = scale * (f32::from(byte >> shift & 3) - offset);
        }
    }
}

/// Where the two bits of a sub-block of 16 values are: the first byte, and the shift inside a byte.
fn two_bit_place(sub_block: usize) -> (usize, usize) {
    (
        32 * (sub_block / 8) + 16 * (sub_block % 2),
        2 * (sub_block / 2 % 4),
    )
}

pub(super) fn q4_k(block: &[u8], values: &mut [f32]) {
    let (d, d_min, scales, quants) = (half(block, 0), half(block, 2), &block[4..16], &block[16..]);
    for (sub_block, values) in values.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = six_bit_pair(scales, sub_block);
        let (scale, minimum) = (d * f32::from(scale), d_min * f32::from(minimum));
        let shift = 4 * (sub_block % 2);
        for (value, &byte) in values.iter_mut().zip(&quants[32 * (sub_block / 2)..]) {
            *value = scale * f32::from(byte >> shift & 0x0f) - minimum;
        }
    }
}

pub(super) fn q5_k(block: &[u8], values: &mut [f32]) {
    let (d, d_min, scales) = (half(block, 0), half(block, 2), &block[4..16]);
    let (high_bits, quants) = (&block[16..48], &block[48..]);
    for (sub_block, values) in values.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = six_bit_pair(scales, sub_block);
        let (scale, minimum) = (d * f32::from(scale), d_min * f32::from(minimum));
        let shift = 4 * (sub_block % 2);
        let quants = &quants[32 * (sub_block / 2)..];
        for ((value, &byte), &high) in values.iter_mut().zip(quants).zip(high_bits) {
            let fifth = (high >> sub_block & 1) << 4;
            *value = scale * f32::from(byte >> shift & 0x0f | fifth) - minimum;
        }
    }
}

/// Scale and minimum of a sub-block of Q4_K or Q5_K: eight pairs of six bits in twelve bytes.
fn six_bit_pair(scales: &[u8], sub_block: usize) -> (u8, u8) {
    if sub_block < 4 {
        (scales[sub_block] & 0x3f, scales[sub_block + 4] & 0x3f)
    } else {
        let low = scales[sub_block + 4];
        (
            low & 0x0f | scales[sub_block - 4] >> 6 << 4,
            low >> 4 | scales[sub_block] >> 6 << 4,
        )
    }
}

pub(super) fn q6_k(block: &[u8], values: &mut [f32]) {
    let (low_bits, high_bits, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(block, 208);
    for (sub_block, values) in values.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[sub_block].cast_signed());
        // Within a half of 128 values: four runs of 32, the first two in the low nibbles.
        let (half, run, offset) = (sub_block / 8, sub_block % 8 / 2, 16 * (sub_block % 2));
        let low_bits = &low_bits[64 * half + 32 * (run % 2) + offset..];
        let high_bits = &high_bits[32 * half + offset..];
        for ((value, &low), &high) in values.iter_mut().zip(low_bits).zip(high_bits) {
            let low = low >> (4 * (run / 2)) & 0x0f;
            let high = high >> (2 * run) & 3;
            *value = scale * (f32::from(low | high << 4) - 32.0);
        }
    }
}
