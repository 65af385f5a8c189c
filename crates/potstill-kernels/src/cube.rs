//! What the bodies for cube backends (wgpu, CUDA) share: how they run, the shape of a launch,
//! reductions.
//!
//! One cube works on one row, its units side by side on neighboring columns; what they found is
//! reduced within planes, and over the planes through shared memory.

mod launch;
mod on_cube;
mod reduce;

use burn::backend::TensorMetadata;
use burn::tensor::DType;

use crate::bodies::portable_bodies;

pub(crate) use launch::{RowLaunch, dense, empty};
pub(crate) use on_cube::{Primitive, is_reached, on_cube};
pub(crate) use reduce::{cube_max, cube_sum, sum_of_lanes};

/// Numbers that a kernel can tell apart by 32 bits.
const MOST: usize = u32::MAX as usize;

/// Whether the body for cubes is to run: it knows f32 and at least one element, and may have been
/// switched off or be out of reach.
pub(crate) fn is_fused<const N: usize>(tensors: [&impl TensorMetadata; N]) -> bool {
    !portable_bodies()
        && is_reached()
        && tensors.iter().all(|tensor| {
            let count = tensor.shape().num_elements();
            tensor.dtype() == DType::F32 && (1..=MOST).contains(&count)
        })
}
