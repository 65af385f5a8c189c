//! The kernels, a cube for each row.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use crate::cube::{cube_sum, sum_of_lanes};

/// `y = x · r · w`.
#[cube(launch)]
pub(super) fn forward<N: Size>(
    x: &Tensor<Vector<f32, N>>,
    weight: &Tensor<Vector<f32, N>>,
    y: &mut Tensor<Vector<f32, N>>,
    rows: usize,
    loads: usize,
    inverse_width: f32,
    epsilon: f32,
    #[comptime] units: usize,
    #[comptime] planes: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * loads;
    let mut scratch = Shared::<[f32]>::new_slice(units);

    let mut squares = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < loads {
        let x = x[start + at];
        squares += sum_of_lanes::<N>(x * x);
        at += units;
    }
    let square = cube_sum(squares, &mut scratch, planes) * inverse_width;
    let inverse = 1.0f32 / (square + epsilon).sqrt();

    let mut at = UNIT_POS as usize;
    while at < loads {
        y[start + at] = x[start + at] * Vector::new(inverse) * weight[at];
        at += units;
    }
}

/// `∂L/∂x`, and r for [`weight_gradient`].
#[cube(launch)]
pub(super) fn backward<N: Size>(
    x: &Tensor<Vector<f32, N>>,
    weight: &Tensor<Vector<f32, N>>,
    gradient: &Tensor<Vector<f32, N>>,
    x_gradient: &mut Tensor<Vector<f32, N>>,
    inverses: &mut Tensor<f32>,
    rows: usize,
    loads: usize,
    inverse_width: f32,
    epsilon: f32,
    #[comptime] units: usize,
    #[comptime] planes: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * loads;
    let mut scratch = Shared::<[f32]>::new_slice(units);

    let mut squares = 0.0f32;
    let mut products = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < loads {
        let x = x[start + at];
        squares += sum_of_lanes::<N>(x * x);
        products += sum_of_lanes::<N>(gradient[start + at] * weight[at] * x);
        at += units;
    }
    let square = cube_sum(squares, &mut scratch, planes) * inverse_width;
    let product = cube_sum(products, &mut scratch, planes) * inverse_width;
    let inverse = 1.0f32 / (square + epsilon).sqrt();
    if UNIT_POS == 0 {
        inverses[row] = inverse;
    }

    let along = Vector::new(product * inverse * inverse);
    let mut at = UNIT_POS as usize;
    while at < loads {
        let direct = gradient[start + at] * weight[at];
        x_gradient[start + at] = (direct - x[start + at] * along) * Vector::new(inverse);
        at += units;
    }
}

/// `Σ_rows g · x · r` over the rows of a block: a unit for each column, a cube row for each block.
#[cube(launch)]
pub(super) fn weight_gradient<N: Size>(
    x: &Tensor<Vector<f32, N>>,
    gradient: &Tensor<Vector<f32, N>>,
    inverses: &Tensor<f32>,
    sums: &mut Tensor<Vector<f32, N>>,
    rows: usize,
    loads: usize,
    rows_per_block: usize,
) {
    let column = ABSOLUTE_POS_X as usize;
    let block = CUBE_POS_Y as usize;
    if column >= loads {
        terminate!();
    }
    let mut sum = Vector::new(0.0f32);
    let mut row = block * rows_per_block;
    let next = row + rows_per_block;
    let end = select(next < rows, next, rows);
    while row < end {
        let at = row * loads + column;
        sum += gradient[at] * x[at] * Vector::new(inverses[row]);
        row += 1;
    }
    sums[block * loads + column] = sum;
}
