//! Where the tensors of a file are, and whether they can be there.

use super::reader::HeaderReader;
use super::{BlockType, GgufProblem};
use crate::Error;

/// One tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct TensorInfo {
    /// As GGUF names it.
    pub(super) name: String,
    /// Row-major: the slowest dimension first.
    pub(super) shape: Vec<usize>,
    pub(super) block_type: BlockType,
    /// Relative to the tensor data.
    pub(super) offset: u64,
    pub(super) bytes: usize,
}

pub(super) fn read_all(reader: &mut HeaderReader, count: u64) -> Result<Vec<TensorInfo>, Error> {
    // The smallest entry: the lengths of name and shape, one type, one offset.
    reader.claim::<TensorInfo>("the list of tensors", count, 8 + 4 + 4 + 8)?;
    (0..count).map(|_| read_one(reader)).collect()
}

fn read_one(reader: &mut HeaderReader) -> Result<TensorInfo, Error> {
    let name = reader.string("a tensor's name")?;
    let n_dimensions = reader.u32("a tensor's number of dimensions")?;
    if n_dimensions > 4 {
        return Err(reader.error(GgufProblem::Dimensions {
            name,
            dimensions: vec![0; 5],
            expected: "a tensor has at most 4",
        }));
    }
    let dimensions = (0..n_dimensions)
        .map(|_| reader.u64("a tensor's dimension"))
        .collect::<Result<Vec<u64>, Error>>()?;
    let number = reader.u32("a tensor's type")?;
    let block_type = BlockType::from_number(number).map_err(|found| {
        reader.error(GgufProblem::TensorType {
            name: name.clone(),
            found,
        })
    })?;
    let offset = reader.u64("a tensor's offset")?;
    match layout(&dimensions, block_type) {
        Ok((shape, bytes)) => Ok(TensorInfo {
            name,
            shape,
            block_type,
            offset,
            bytes,
        }),
        Err(expected) => Err(reader.error(GgufProblem::Dimensions {
            name,
            dimensions,
            expected,
        })),
    }
}

/// Row-major shape and size in bytes.
fn layout(dimensions: &[u64], block_type: BlockType) -> Result<(Vec<usize>, usize), &'static str> {
    const TOO_LARGE: &str = "it is larger than memory";
    let mut shape = dimensions
        .iter()
        .rev()
        .map(|&size| usize::try_from(size).map_err(|_| TOO_LARGE))
        .collect::<Result<Vec<usize>, _>>()?;
    if shape.is_empty() {
        shape.push(1);
    }
    let values = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    let values = values.ok_or(TOO_LARGE)?;
    if values == 0 {
        return Err("a tensor must not be empty");
    }
    if !shape[shape.len() - 1].is_multiple_of(block_type.values_per_block()) {
        return Err("a row must be whole blocks");
    }
    let blocks = values / block_type.values_per_block();
    let bytes = blocks
        .checked_mul(block_type.bytes_per_block())
        .ok_or(TOO_LARGE)?;
    Ok((shape, bytes))
}

/// Fails unless every tensor is aligned, inside `available` bytes of data, and on its own.
pub(super) fn check_places(
    tensors: &[TensorInfo],
    alignment: u64,
    available: u64,
) -> Result<(), GgufProblem> {
    for TensorInfo {
        name,
        offset,
        bytes,
        ..
    } in tensors
    {
        if !offset.is_multiple_of(alignment) {
            return Err(GgufProblem::Misaligned {
                name: name.clone(),
                offset: *offset,
                alignment,
            });
        }
        let size = *bytes as u64;
        if offset.checked_add(size).is_none_or(|end| end > available) {
            let (name, offset) = (name.clone(), *offset);
            return Err(GgufProblem::OutOfFile {
                name,
                offset,
                size,
                available,
            });
        }
    }
    let mut by_offset: Vec<&TensorInfo> = tensors.iter().collect();
    by_offset.sort_by_key(|info| info.offset);
    for pair in by_offset.windows(2) {
        let end = pair[0].offset + pair[0].bytes as u64;
        if pair[1].offset < end {
            return Err(GgufProblem::Overlap {
                first: pair[0].name.clone(),
                end,
                second: pair[1].name.clone(),
                offset: pair[1].offset,
            });
        }
    }
    Ok(())
}
