//! From what each unit of a cube found to what all of them know.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// The sum of `value` over the units of a cube, in an order that is always the same on a device.
///
/// `scratch` has room for a value of each unit and may be used again at once.
#[cube]
pub(crate) fn cube_sum(value: f32, scratch: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if comptime!(planes) {
        let of_plane = plane_sum(value);
        if UNIT_POS_PLANE == 0 {
            scratch[(UNIT_POS / PLANE_DIM) as usize] = of_plane;
        }
        sync_cube();
        let mut total = 0.0f32;
        let count = CUBE_DIM.div_ceil(PLANE_DIM);
        for plane in 0..count {
            total += scratch[plane as usize];
        }
        sync_cube();
        total
    } else {
        scratch[UNIT_POS as usize] = value;
        sync_cube();
        let mut active = CUBE_DIM / 2;
        while active > 0 {
            if UNIT_POS < active {
                let other = scratch[(UNIT_POS + active) as usize];
                scratch[UNIT_POS as usize] += other;
            }
            sync_cube();
            active /= 2;
        }
        let total = scratch[0];
        sync_cube();
        total
    }
}

/// The largest `value` of the units of a cube; see [`cube_sum`].
#[cube]
pub(crate) fn cube_max(value: f32, scratch: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if comptime!(planes) {
        let of_plane = plane_max(value);
        if UNIT_POS_PLANE == 0 {
            scratch[(UNIT_POS / PLANE_DIM) as usize] = of_plane;
        }
        sync_cube();
        let mut largest = scratch[0];
        let count = CUBE_DIM.div_ceil(PLANE_DIM);
        for plane in 1..count {
            largest = largest.max(scratch[plane as usize]);
        }
        sync_cube();
        largest
    } else {
        scratch[UNIT_POS as usize] = value;
        sync_cube();
        let mut active = CUBE_DIM / 2;
        while active > 0 {
            if UNIT_POS < active {
                let other = scratch[(UNIT_POS + active) as usize];
                let own = scratch[UNIT_POS as usize];
                scratch[UNIT_POS as usize] = own.max(other);
            }
            sync_cube();
            active /= 2;
        }
        let largest = scratch[0];
        sync_cube();
        largest
    }
}

/// The sum of the numbers that were loaded at once.
#[cube]
pub(crate) fn sum_of_lanes<N: Size>(values: Vector<f32, N>) -> f32 {
    let mut sum = values.extract(0usize);
    #[unroll]
    for lane in 1..N::value() {
        sum += values.extract(lane);
    }
    sum
}
