//! Blocks of quantized values to f32.
//!
//! The layouts are those of ggml; every formula below gives the same f32, bit for bit, as the
//! reference decoder of the format, which multiplies and adds in this order without fusing.

mod basic;
mod floats;
mod k_quants;

use rayon::prelude::*;

use super::BlockType;
use crate::Error;

/// Blocks that one task decodes: some tens of kilobytes of output.
const BLOCKS_PER_TASK: usize = 64;

/// The values of whole blocks.
///
/// # Errors
///
/// When `bytes` does not hold a whole number of blocks.
///
/// # Examples
///
/// ```
/// use potstill_models::{BlockType, dequantize};
///
/// // A scale of 2.0 (0x4000 in half precision) and 32 signed bytes.
/// let mut block = vec![0x00, 0x40];
/// block.extend((0..32).map(|value: i8| (value - 16).cast_unsigned()));
/// let values = dequantize(BlockType::Q8_0, &block)?;
/// assert_eq!(values[..3], [-32.0, -30.0, -28.0]);
/// # Ok::<(), potstill_models::Error>(())
/// ```
pub fn dequantize(block_type: BlockType, bytes: &[u8]) -> Result<Vec<f32>, Error> {
    let block_bytes = block_type.bytes_per_block();
    if !bytes.len().is_multiple_of(block_bytes) {
        return Err(Error::PartialBlock {
            block_type,
            bytes: bytes.len(),
            block_bytes,
        });
    }
    let values_per_block = block_type.values_per_block();
    let mut values = vec![0.0; bytes.len() / block_bytes * values_per_block];
    let decode: fn(&[u8], &mut [f32]) = match block_type {
        BlockType::F32 => floats::f32,
        BlockType::F16 => floats::f16,
        BlockType::Bf16 => floats::bf16,
        BlockType::Q4_0 => basic::q4_0,
        BlockType::Q4_1 => basic::q4_1,
        BlockType::Q5_0 => basic::q5_0,
        BlockType::Q5_1 => basic::q5_1,
        BlockType::Q8_0 => basic::q8_0,
        BlockType::Q2K => k_quants::q2_k,
        BlockType::Q3K => k_quants::q3_k,
        BlockType::Q4K => k_quants::q4_k,
        BlockType::Q5K => k_quants::q5_k,
        BlockType::Q6K => k_quants::q6_k,
    };
    // Floats have blocks of one value; as many values a task as with the smallest real blocks.
    let blocks = BLOCKS_PER_TASK * 32usize.div_ceil(values_per_block);
    values
        .par_chunks_mut(blocks * values_per_block)
        .zip(bytes.par_chunks(blocks * block_bytes))
        .for_each(|(values, bytes)| {
            for (values, block) in values
                .chunks_exact_mut(values_per_block)
                .zip(bytes.chunks_exact(block_bytes))
            {
                decode(block, values);
            }
        });
    Ok(values)
}

/// The half-precision number at byte `at` of a block.
fn half(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests;
