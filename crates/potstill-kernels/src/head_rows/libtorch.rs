//! The pass over the logits of a chunk that libtorch has multiplied: the one of flex, in the same
//! memory.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::prelude::*;
use rayon::prelude::*;

use crate::host::{HostBackend, Values, ValuesMut, index_values, is_fused, vectorized};
use crate::log_space::at_least_f32;
use crate::row_pass::{Scratch, StudentRow, Tail, TeacherRow, blended_row};
use crate::{Blend, LogitRows};

/// A blend of f32 logits in host memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPass(Blend);

impl RowPass {
    /// `None` where the portable body has to run.
    pub(super) fn of(blend: Blend, rows: &LogitRows) -> Option<Self> {
        let is_fused = |logits: &Tensor<2>| {
            let primitive = logits.clone().try_into_primitive::<LibTorch>();
            primitive.is_ok_and(|logits| is_fused::<LibTorch, _>([&logits]))
        };
        let here = is_fused(&rows.student) && rows.teacher.as_ref().is_none_or(is_fused);
        here.then_some(Self(blend))
    }

    /// The loss of each row, `[rows]`.
    pub(super) fn per_row(self, rows: LogitRows) -> Tensor<1> {
        self.run(rows, None, false).0
    }

    /// The loss of each row, `[rows]`, and its gradient times the weight of the row, `[rows, vocab]`.
    pub(super) fn value_and_gradient(
        self,
        rows: LogitRows,
        weights: Option<&Tensor<1>>,
    ) -> (Tensor<1>, Tensor<2>) {
        self.run(rows, weights, true)
    }

    /// The losses; the student's logits become their gradient, or are used up.
    ///
    /// # Panics
    ///
    /// Panics if the blend asks for a teacher or targets that are not there, or another shape.
    fn run(
        self,
        rows: LogitRows,
        weights: Option<&Tensor<1>>,
        differentiate: bool,
    ) -> (Tensor<1>, Tensor<2>) {
        let [count, vocab] = rows.student.dims();
        let teacher = rows.teacher.map(|teacher| {
            assert_eq!(
                teacher.dims(),
                [count, vocab],
                "student and teacher logits must have one shape"
            );
            Values::<LibTorch>::of(primitive(teacher))
        });
        let teacher = teacher.as_ref().map(Values::as_slice);
        let targets = rows
            .targets
            .map(|targets| index_values(&targets.into_data()));
        let weights =
            weights.map(|weights| Values::<LibTorch>::of(primitive(at_least_f32(weights.clone()))));
        let weights = weights.as_ref().map(Values::as_slice);
        let mut student = ValuesMut::<LibTorch>::of(primitive(rows.student));
        let mut losses = vec![0.0; count];
        losses
            .par_iter_mut()
            .zip(student.as_mut_slice().par_chunks_exact_mut(vocab.max(1)))
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (row, (loss, logits))| {
                let weight = weights.map_or(1.0, |weights| weights[row]);
                if weight == 0.0 {
                    logits.fill(0.0);
                    return;
                }
                let student = StudentRow {
                    logits,
                    tail: Tail::NONE,
                    factor: differentiate.then_some(weight),
                };
                let teacher = teacher.map_or(TeacherRow::Unused, |teacher| {
                    TeacherRow::Logits(&teacher[row * vocab..][..vocab])
                });
                let target = targets.as_ref().map(|targets| targets[row]);
                let value = vectorized(
                    #[inline(always)]
                    || blended_row(&self.0, student, teacher, target, scratch),
                );
                *loss = value as f32;
            });
        (
            Tensor::from_primitive::<LibTorch>(LibTorch::tensor(losses, [count].into())),
            Tensor::from_primitive::<LibTorch>(student.into_tensor()),
        )
    }
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> TchTensor {
    tensor
        .try_into_primitive::<LibTorch>()
        .expect("student, teacher and weights are on one device, outside autodiff")
}
