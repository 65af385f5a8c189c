//! A teacher whose weights live on another device than its student.

use std::path::Path;

use anyhow::{Result, bail};
use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::{Prediction, Taps, Teacher, TokenBatch, TokenRow};
use potstill_models::Checkpoint;
use potstill_teachers::ModelTeacher;
use potstill_testkit::values;

use super::reference::largest_error;
use super::report::{Measure, Report};

const TOLERANCE: f64 = 2e-4;

/// Compares what the checkpoint `folder` says from the device `there` with what it says from `home`,
/// both times to a student on `home`.
pub(super) fn check(folder: &Path, there: &Device, home: &Device, report: &mut Report) {
    report.case("teacher elsewhere/llama", || {
        let near = Lesson::from(folder, home, home)?;
        let far = Lesson::from(folder, there, home)?;
        let error = |a: &[f64], b: &[f64]| largest_error(a, b, |_| true);
        Ok(vec![
            Measure::new("logits", error(&far.logits, &near.logits), TOLERANCE),
            Measure::new("hidden", error(&far.hidden, &near.hidden), TOLERANCE),
        ])
    });
}

/// What a student sees of a teacher.
struct Lesson {
    logits: Vec<f64>,
    hidden: Vec<f64>,
}

impl Lesson {
    fn from(folder: &Path, teacher: &Device, student: &Device) -> Result<Self> {
        let model = Checkpoint::open(folder)?.language_model(FloatDType::F32, teacher)?;
        let rows = [[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]]
            .map(|tokens| TokenRow::document(&tokens, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]));
        let batch = TokenBatch::from_rows(&rows, 0, student);
        let signal = ModelTeacher::new(&model).signal(&batch, &Taps::hidden([1]))?;
        let hidden = signal.tapped.hidden(1);
        let Prediction::Deferred { hidden: rows, head } = signal.prediction else {
            bail!("a model's prediction is deferred");
        };
        if [hidden.device(), rows.device()]
            .iter()
            .any(|device| device != student)
        {
            bail!("the signal is not where the student is");
        }
        Ok(Self {
            logits: values(&head.logits(rows)),
            hidden: values(&hidden),
        })
    }
}
