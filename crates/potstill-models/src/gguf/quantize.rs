//! f32 to blocks of quantized values.

mod basic;
mod q4_k;

use rayon::prelude::*;

use super::BlockType;
use crate::Error;

/// Blocks that one task encodes.
const BLOCKS_PER_TASK: usize = 64;

/// The bytes of whole blocks of type `F32`, `F16`, `BF16`, `Q8_0`, `Q5_0`, `Q4_0` or `Q4_K`.
///
/// The rounding is that of ggml's reference encoder, but for `Q4_K`, whose scales and minima are
/// searched for.
///
/// # Errors
///
/// When the values do not fill whole blocks, or the type is another.
///
/// # Examples
///
/// ```
/// use potstill_models::{BlockType, dequantize, quantize};
///
/// let values: Vec<f32> = (0..32).map(|i| i as f32 - 16.0).collect();
/// let bytes = quantize(BlockType::Q8_0, &values)?;
/// assert_eq!(bytes.len(), BlockType::Q8_0.bytes_per_block());
/// let restored = dequantize(BlockType::Q8_0, &bytes)?;
/// assert!((restored[0] + 16.0).abs() < 0.01);
/// # Ok::<(), potstill_models::Error>(())
/// ```
pub fn quantize(block_type: BlockType, values: &[f32]) -> Result<Vec<u8>, Error> {
    let encode: fn(&[f32], &mut [u8]) = match block_type {
        BlockType::F32 => |values, bytes| bytes.copy_from_slice(&values[0].to_le_bytes()),
        BlockType::F16 => |values, bytes| {
            bytes.copy_from_slice(&half::f16::from_f32(values[0]).to_le_bytes());
        },
        BlockType::Bf16 => |values, bytes| {
            bytes.copy_from_slice(&half::bf16::from_f32(values[0]).to_le_bytes());
        },
        BlockType::Q8_0 => basic::q8_0,
        BlockType::Q5_0 => basic::q5_0,
        BlockType::Q4_0 => basic::q4_0,
        BlockType::Q4K => q4_k::q4_k,
        other => return Err(Error::NotEncoded { block_type: other }),
    };
    let (per_block, block_bytes) = (block_type.values_per_block(), block_type.bytes_per_block());
    if !values.len().is_multiple_of(per_block) {
        return Err(Error::PartialValues {
            block_type,
            values: values.len(),
        });
    }
    let mut bytes = vec![0; values.len() / per_block * block_bytes];
    let blocks = BLOCKS_PER_TASK * 32usize.div_ceil(per_block);
    bytes
        .par_chunks_mut(blocks * block_bytes)
        .zip(values.par_chunks(blocks * per_block))
        .for_each(|(bytes, values)| {
            for (block, values) in bytes
                .chunks_exact_mut(block_bytes)
                .zip(values.chunks_exact(per_block))
            {
                encode(values, block);
            }
        });
    Ok(bytes)
}

/// 1/x, and 0 for 0.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { scale.recip() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dequantize;

    #[test]
    fn values_that_fill_no_block_and_types_that_are_only_read_are_refused() {
        let partial = quantize(BlockType::Q4_0, &[0.0; 33])
            .unwrap_err()
            .to_string();
        assert!(
            partial.contains("33") && partial.contains("Q4_0"),
            "{partial}"
        );
        let other = quantize(BlockType::Q6K, &[0.0; 256])
            .unwrap_err()
            .to_string();
        assert!(other.contains("Q6_K") && other.contains("Q4_K"), "{other}");
    }

    #[test]
    fn zeros_stay_zeros() {
        for block_type in [
            BlockType::Q8_0,
            BlockType::Q5_0,
            BlockType::Q4_0,
            BlockType::Q4K,
        ] {
            let bytes = quantize(block_type, &[0.0; 256]).unwrap();
            assert_eq!(dequantize(block_type, &bytes).unwrap(), [0.0; 256]);
        }
    }

    proptest! {
        #[test]
        fn a_value_is_off_by_at_most_a_step(values in proptest::collection::vec(-9.0f32..9.0, 32)) {
            let largest = values.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (block_type, step) in [
                (BlockType::F32, 0.0),
                (BlockType::F16, largest / 1024.0),
                (BlockType::Bf16, largest / 128.0),
                (BlockType::Q8_0, largest / 127.0 * 0.6),
                (BlockType::Q5_0, largest / 16.0 * 1.01),
                (BlockType::Q4_0, largest / 8.0 * 1.01),
            ] {
                let restored = dequantize(block_type, &quantize(block_type, &values).unwrap()).unwrap();
                for (value, restored) in values.iter().zip(restored) {
                    prop_assert!((value - restored).abs() <= step, "{block_type}: {value} {restored}");
                }
            }
        }

        #[test]
        fn what_was_quantized_once_stays(values in proptest::collection::vec(-9.0f32..9.0, 32)) {
            for block_type in [BlockType::Q8_0, BlockType::Q5_0, BlockType::Q4_0] {
                let once = dequantize(block_type, &quantize(block_type, &values).unwrap()).unwrap();
                let twice = dequantize(block_type, &quantize(block_type, &once).unwrap()).unwrap();
                prop_assert_eq!(once, twice);
            }
        }
    }
}
