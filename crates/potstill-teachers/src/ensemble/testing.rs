//! Teachers that say the same about every row.

use burn::prelude::*;
use potstill_core::{
    Prediction, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};
use potstill_testkit::{plain_device, values};

use super::BoxedTeacher;

pub(crate) struct Fixed {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) logits: Vec<f32>,
}

impl Fixed {
    pub(crate) fn boxed(logits: &[f32]) -> BoxedTeacher {
        Box::new(Self {
            vocabulary: Vocabulary::of_size(logits.len()),
            logits: logits.to_vec(),
        })
    }
}

impl Teacher for Fixed {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
    fn signal(&mut self, batch: &TokenBatch, _: &Taps) -> Result<TeacherSignal, TeacherError> {
        let row = Tensor::<1>::from_floats(self.logits.as_slice(), &plain_device());
        let rows = row.unsqueeze::<2>().repeat_dim(0, batch.rows.count());
        Ok(TeacherSignal {
            prediction: Prediction::Dense(rows),
            tapped: Tapped::default(),
        })
    }
}

/// The logits of a dense prediction.
pub(crate) fn dense(signal: &TeacherSignal) -> Vec<f64> {
    let Prediction::Dense(logits) = &signal.prediction else {
        panic!("the prediction is {}", signal.prediction.kind())
    };
    values(logits)
}
