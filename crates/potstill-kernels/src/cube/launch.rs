//! How many cubes of how many units a matrix gets.

use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::ir::features::Plane;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Units of a cube that works on a long row.
const MOST_UNITS: usize = 256;

/// Units of a cube that works on a short one: as many as the planes of most devices have.
const LEAST_UNITS: usize = 32;

/// Loads of its row that a unit has at least, where the row is long enough.
const LOADS: usize = 2;

/// A launch with one cube for each row of a matrix in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLaunch {
    pub(crate) rows: usize,
    /// Numbers that a unit loads at a time.
    pub(crate) lanes: usize,
    /// Loads that a row takes.
    pub(crate) loads: usize,
    /// Units of a cube.
    pub(crate) units: usize,
    /// Whether the device can add up the units of a plane.
    pub(crate) planes: bool,
}

impl RowLaunch {
    /// For `[rows, width]`, on the device of `tensor`.
    pub(crate) fn new(tensor: &CubeTensor, rows: usize, width: usize) -> Self {
        let properties = tensor.client.properties();
        let lanes = [4, 2]
            .into_iter()
            .find(|&lanes| width.is_multiple_of(lanes));
        let lanes = lanes.unwrap_or(1);
        let loads = width / lanes;
        let most = MOST_UNITS.min(properties.hardware.max_units_per_cube as usize);
        let units = loads.div_ceil(LOADS).next_power_of_two();
        Self {
            rows,
            lanes,
            loads,
            units: units.clamp(LEAST_UNITS.min(most), most),
            planes: properties.features.plane.contains(Plane::Ops),
        }
    }

    /// As many cubes as rows, and some that find nothing to do where a device cannot count as far in
    /// one dimension.
    pub(crate) fn cube_count(&self, tensor: &CubeTensor) -> CubeCount {
        let units = self.rows * self.units;
        calculate_cube_count_elemwise(&tensor.client, units, self.cube_dim())
    }

    pub(crate) fn cube_dim(&self) -> CubeDim {
        CubeDim::new_1d(self.units as u32)
    }
}

/// The same values in order, copied only where they are not.
pub(crate) fn dense(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// Memory for f32 values on the device of `like`.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(
        like.client.clone(),
        like.device.clone(),
        shape.into(),
        DType::F32,
    )
}
