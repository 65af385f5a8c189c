//! F32, F16 and BF16: a block is one value.

pub(super) fn f32(block: &[u8], values: &mut [f32]) {
    values[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
}

pub(super) fn f16(block: &[u8], values: &mut [f32]) {
    values[0] = super::half(block, 0);
}

pub(super) fn bf16(block: &[u8], values: &mut [f32]) {
    values[0] = half::bf16::from_le_bytes([block[0], block[1]]).to_f32();
}
