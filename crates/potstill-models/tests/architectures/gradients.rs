//! Models learn: gradients reach every parameter, and agree with finite differences.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{DType, FloatDType, Gradients};
use potstill_core::{CausalLm, TokenBatch, TokenRow};
use potstill_models::LanguageModel;
use potstill_testkit::plain_device;

use crate::segments::models;

fn batch() -> TokenBatch {
    let mut row = TokenRow::document(&[3, 4, 5, 6], &[1.0; 4]);
    row.push_document(&[9, 8, 7], &[1.0; 3]);
    let short = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    TokenBatch::from_rows(&[row, short], 0, &plain_device())
}

/// A smooth function of all logits.
fn loss(model: &LanguageModel, batch: &TokenBatch) -> Tensor<1> {
    model.row_logits(batch).tanh().mean()
}

struct Slopes<'a> {
    gradients: &'a Gradients,
    without: usize,
    /// Gradient of every parameter at its first element, in order.
    first: Vec<f64>,
}

impl ModuleVisitor for Slopes<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match param.val().grad(self.gradients) {
            Some(gradient) => {
                self.first
                    .push(gradient.try_into_vec_as::<f64>().unwrap()[0]);
            }
            None => self.without += 1,
        }
    }
}

/// Casts to f64, in which differences are exact enough.
struct Precise;

impl ModuleMapper for Precise {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(param.val().cast(FloatDType::F64))
    }
}

struct Nudge {
    index: usize,
    at: usize,
    by: f64,
}

impl ModuleMapper for Nudge {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.index += 1;
        if self.index != self.at + 1 {
            return param;
        }
        let shape = param.shape();
        let mut values = param.val().try_into_vec_as::<f64>().unwrap();
        values[0] += self.by;
        let data = TensorData::new(values, shape);
        Param::from_tensor(Tensor::from_data(data, (&plain_device(), DType::F64)))
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let batch = batch();
    for model in models() {
        let name = model.config().architecture.name();
        let model = model.map(&mut Precise);
        let trained = model.clone().train();
        let gradients = loss(&trained, &batch).backward();
        let mut slopes = Slopes {
            gradients: &gradients,
            without: 0,
            first: Vec::new(),
        };
        trained.visit(&mut slopes);
        assert_eq!(slopes.without, 0, "{name}: parameters without a gradient");
        for (at, slope) in slopes.first.into_iter().enumerate() {
            let nudged = |by| {
                let model = model.clone().map(&mut Nudge { index: 0, at, by });
                loss(&model, &batch).into_scalar::<f64>()
            };
            let step = 1e-5;
            let estimate = (nudged(step) - nudged(-step)) / (2.0 * step);
            let error = (slope - estimate).abs();
            assert!(
                error < 1e-7,
                "{name}, parameter {at}: {slope} instead of {estimate}"
            );
        }
    }
}

#[test]
fn a_plain_model_pays_no_autodiff() {
    for model in models() {
        assert!(!model.row_logits(&batch()).is_autodiff());
    }
}
