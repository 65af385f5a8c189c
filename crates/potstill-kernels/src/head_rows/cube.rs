//! The body for cubes: forward KL and cross-entropy in two passes over each row of logits.
//!
//! It knows f32, which half-precision logits become first, and leaves other divergences, smoothed
//! labels and f64 to the portable body. Rows whose weight is 0 are not read.

use burn::backend::{Cube, TensorMetadata};
use burn::prelude::*;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use crate::bodies::portable_bodies;
use crate::cube::{Primitive, RowLaunch, dense, empty, is_reached, on_cube};
use crate::log_space::at_least_f32;
use crate::{Blend, Divergence, LogitRows};

mod kernel;
mod totals;

/// The parts of a [`Blend`] that the kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    /// Forward KL.
    soft: bool,
    /// Cross-entropy.
    hard: bool,
    /// The logits of the soft part are divided by a temperature.
    tempered: bool,
    /// The student's logits become their gradient.
    gradient: bool,
}

/// What the parts are multiplied by.
#[derive(Clone, Copy, Debug)]
struct Factors {
    soft: f32,
    hard: f32,
    inverse_temperature: f32,
}

/// A blend that this body knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPass {
    parts: Parts,
    factors: Factors,
}

impl RowPass {
    /// `None` where the portable body has to run.
    pub(super) fn of(blend: &Blend, rows: &LogitRows) -> Option<Self> {
        let known_divergence = blend
            .soft
            .is_none_or(|soft| soft.divergence.canonical() == Divergence::ForwardKl);
        let known_labels = blend
            .hard
            .is_none_or(|hard| hard.cross_entropy.smoothing == 0.0);
        let here = !portable_bodies()
            && is_reached()
            && known_divergence
            && known_labels
            && (blend.soft.is_some() || blend.hard.is_some())
            && rows.student.shape().num_elements() > 0
            && rows.student.dtype() != DType::F64
            && is_on_cube(&rows.student);
        here.then(|| Self {
            parts: Parts {
                soft: blend.soft.is_some(),
                hard: blend.hard.is_some(),
                tempered: blend.soft.is_some_and(|soft| soft.temperature != 1.0),
                gradient: false,
            },
            factors: Factors {
                soft: blend.soft.map_or(0.0, |soft| soft.factor as f32),
                hard: blend.hard.map_or(0.0, |hard| hard.factor as f32),
                inverse_temperature: blend
                    .soft
                    .map_or(1.0, |soft| soft.temperature.recip() as f32),
            },
        })
    }

    /// The loss of each row, `[rows]`.
    pub(super) fn per_row(self, rows: LogitRows) -> Tensor<1> {
        let [student, teacher, targets, weights] = self.inputs(rows, None);
        let [count, _] = student.shape().dims();
        let [values] = on_cube(
            "row_pass",
            [student, teacher, targets, weights],
            [[count].into()],
            move |inputs| {
                let [values, _] = self.run(inputs);
                [values]
            },
        );
        Tensor::from_primitive::<Cube>(values)
    }

    /// The loss of each row, `[rows]`, and its gradient times the weight of the row, `[rows, vocab]`.
    pub(super) fn value_and_gradient(
        mut self,
        rows: LogitRows,
        weights: Option<&Tensor<1>>,
    ) -> (Tensor<1>, Tensor<2>) {
        self.parts.gradient = true;
        let [student, teacher, targets, weights] = self.inputs(rows, weights);
        let shape = student.shape();
        let [count, _] = shape.dims();
        let [values, gradient] = on_cube(
            "row_pass_with_gradient",
            [student, teacher, targets, weights],
            [[count].into(), shape],
            move |inputs| self.run(inputs),
        );
        (
            Tensor::from_primitive::<Cube>(values),
            Tensor::from_primitive::<Cube>(gradient),
        )
    }

    /// Student, teacher, targets and weights; the weights stand in for what is not read.
    ///
    /// # Panics
    ///
    /// Panics if the blend asks for a teacher or targets that are not there, or another shape.
    fn inputs(self, rows: LogitRows, weights: Option<&Tensor<1>>) -> [Primitive; 4] {
        let LogitRows {
            student,
            teacher,
            targets,
        } = rows;
        let ([count, vocab], device) = (student.dims(), student.device());
        let weights = match weights {
            Some(weights) => at_least_f32(weights.clone()),
            None => Tensor::ones([count], (&device, DType::F32)),
        };
        let weights = primitive(weights);
        let teacher = if self.parts.soft {
            let teacher = teacher.expect("this loss compares with a teacher's logits");
            assert_eq!(
                teacher.dims(),
                [count, vocab],
                "student and teacher logits must have one shape"
            );
            primitive(at_least_f32(teacher))
        } else {
            weights.clone()
        };
        let targets = if self.parts.hard {
            let targets = targets.expect("this loss needs targets");
            let targets = targets.cast(burn::tensor::IntDType::I32);
            targets
                .try_into_primitive::<Cube>()
                .expect("the targets are where the logits are")
        } else {
            weights.clone()
        };
        [primitive(at_least_f32(student)), teacher, targets, weights]
    }

    /// The values and the gradient, which is written over the student's logits where nothing else
    /// holds them.
    fn run(self, [student, teacher, targets, weights]: [CubeTensor; 4]) -> [CubeTensor; 2] {
        let [count, vocab] = student.shape().dims();
        let Self { parts, factors } = self;
        let student = dense(student);
        let launch = RowLaunch::new(&student, count, vocab);
        let teacher = if parts.soft {
            dense(teacher)
        } else {
            // Not read, but large enough for one load.
            empty(&student, [launch.lanes])
        };
        let values = empty(&student, [count]);
        let in_place = !parts.gradient || student.can_mut();
        let gradient = if in_place {
            student.clone()
        } else {
            empty(&student, [count, vocab])
        };
        let out = if in_place {
            gradient.as_tensor_alias(0)
        } else {
            gradient.clone().into_tensor_arg()
        };
        kernel::row_pass::launch(
            &values.client,
            launch.cube_count(&values),
            launch.cube_dim(),
            launch.lanes,
            student.into_tensor_arg(),
            teacher.into_tensor_arg(),
            dense(targets).into_tensor_arg(),
            dense(weights).into_tensor_arg(),
            out,
            values.clone().into_tensor_arg(),
            count,
            launch.loads,
            factors.inverse_temperature,
            factors.soft,
            factors.hard,
            parts,
            launch.units,
            launch.planes,
        );
        [values, gradient]
    }
}

fn is_on_cube(tensor: &Tensor<2>) -> bool {
    tensor.clone().try_into_primitive::<Cube>().is_ok()
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> Primitive {
    tensor
        .try_into_primitive::<Cube>()
        .expect("student, teacher and weights are on one device, outside autodiff")
}
