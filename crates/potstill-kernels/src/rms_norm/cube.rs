//! RMS normalization of f32 rows on cubes.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, TensorMetadata};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;

use super::{RmsNormBackend, portable};
use crate::cube::{Primitive, RowLaunch, dense, empty, is_fused, on_cube};

mod kernels;

/// Rows of which one unit sums a column of the weight's gradient, where there are many.
const BLOCK: usize = 32;

/// Such blocks at most: their sums are summed in a second pass.
const MOST_BLOCKS: usize = 256;

/// Units of a cube that sums columns.
const COLUMN_UNITS: usize = 64;

impl RmsNormBackend for Cube {
    fn rms_norm(x: Primitive, weight: Primitive, epsilon: f64) -> Primitive {
        if !is_fused([&x, &weight]) {
            return portable::forward::<Self>(x, weight, epsilon);
        }
        let shape = x.shape();
        let [y] = on_cube("rms_norm", [x, weight], [shape], move |[x, weight]| {
            [forward(dense(x), dense(weight), epsilon as f32)]
        });
        y
    }

    fn rms_norm_backward(
        x: Primitive,
        weight: Primitive,
        gradient: Primitive,
        epsilon: f64,
        want_weight: bool,
    ) -> (Primitive, Option<Primitive>) {
        if !is_fused([&x, &weight, &gradient]) {
            return portable::backward::<Self>(x, weight, gradient, epsilon, want_weight);
        }
        let (shape, weight_shape) = (x.shape(), weight.shape());
        let rows = shape[0];
        let [x_gradient, inverse] = on_cube(
            "rms_norm_backward",
            [x.clone(), weight, gradient.clone()],
            [shape, [rows].into()],
            move |[x, weight, gradient]| {
                backward(dense(x), dense(weight), dense(gradient), epsilon as f32)
            },
        );
        let weight_gradient = want_weight.then(|| {
            let [weight_gradient] = on_cube(
                "rms_norm_weight",
                [x, gradient, inverse],
                [weight_shape],
                |[x, gradient, inverse]| [weight_gradient(dense(x), dense(gradient), inverse)],
            );
            weight_gradient
        });
        (x_gradient, weight_gradient)
    }
}

fn forward(x: CubeTensor, weight: CubeTensor, epsilon: f32) -> CubeTensor {
    let [rows, width] = x.shape().dims();
    let launch = RowLaunch::new(&x, rows, width);
    let y = empty(&x, [rows, width]);
    kernels::forward::launch(
        &y.client,
        launch.cube_count(&y),
        launch.cube_dim(),
        launch.lanes,
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        y.clone().into_tensor_arg(),
        rows,
        launch.loads,
        (width as f32).recip(),
        epsilon,
        launch.units,
        launch.planes,
    );
    y
}

/// The gradient of `x`, and what each row was multiplied by.
fn backward(
    x: CubeTensor,
    weight: CubeTensor,
    gradient: CubeTensor,
    epsilon: f32,
) -> [CubeTensor; 2] {
    let [rows, width] = x.shape().dims();
    let launch = RowLaunch::new(&x, rows, width);
    let x_gradient = empty(&x, [rows, width]);
    let inverse = empty(&x, [rows]);
    kernels::backward::launch(
        &x_gradient.client,
        launch.cube_count(&x_gradient),
        launch.cube_dim(),
        launch.lanes,
        x.into_tensor_arg(),
        weight.into_tensor_arg(),
        gradient.into_tensor_arg(),
        x_gradient.clone().into_tensor_arg(),
        inverse.clone().into_tensor_arg(),
        rows,
        launch.loads,
        (width as f32).recip(),
        epsilon,
        launch.units,
        launch.planes,
    );
    [x_gradient, inverse]
}

fn weight_gradient(x: CubeTensor, gradient: CubeTensor, inverse: CubeTensor) -> CubeTensor {
    let [rows, width] = x.shape().dims();
    let RowLaunch { lanes, loads, .. } = RowLaunch::new(&x, rows, width);
    let blocks = rows.div_ceil(BLOCK).min(MOST_BLOCKS);
    let sums = empty(&x, [blocks, width]);
    let cubes = loads.div_ceil(COLUMN_UNITS);
    kernels::weight_gradient::launch(
        &sums.client,
        CubeCount::Static(cubes as u32, blocks as u32, 1),
        CubeDim::new_1d(COLUMN_UNITS as u32),
        lanes,
        x.into_tensor_arg(),
        gradient.into_tensor_arg(),
        inverse.into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        rows,
        loads,
        rows.div_ceil(blocks),
    );
    reshape(CubeBackend::float_sum_dim(sums, 0), [width].into())
}
