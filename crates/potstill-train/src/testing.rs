//! What this crate's tests share: small objectives, batches, and readers of parameters.

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use potstill_core::{LossTerm, Objective, ObjectiveInput, Prediction, Taps, TokenBatch, TokenRow};
use potstill_testkit::plain_device;

pub(crate) const VOCAB: usize = 13;

/// Forward KL, written out.
#[derive(Module, Debug)]
pub(crate) struct ForwardKl {
    weight: f64,
}

impl ForwardKl {
    pub(crate) fn new() -> Self {
        Self { weight: 1.0 }
    }

    pub(crate) fn weighted(weight: f64) -> Self {
        Self { weight }
    }
}

impl Objective for ForwardKl {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let Prediction::Deferred { hidden, head } = input.teacher.prediction.clone() else {
            panic!("the tests teach with models")
        };
        let log_p = log_softmax(head.logits(hidden), 1);
        let log_q = log_softmax(input.student.head.logits(input.student.hidden.clone()), 1);
        let per_row = (log_p.clone().exp() * (log_p - log_q))
            .sum_dim(1)
            .squeeze_dim::<1>(1);
        let sum = input.batch.rows.weighted_sum(per_row);
        terms.push(LossTerm {
            name: "forward_kl".into(),
            weight: self.weight,
            sum,
        });
    }
}

/// Cross-entropy with the targets; needs no teacher.
#[derive(Module, Debug)]
pub(crate) struct CrossEntropy {
    weight: f64,
}

impl CrossEntropy {
    pub(crate) fn weighted(weight: f64) -> Self {
        Self { weight }
    }
}

impl Objective for CrossEntropy {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let log_q = log_softmax(input.student.head.logits(input.student.hidden.clone()), 1);
        let targets = input.batch.row_targets().unsqueeze_dim::<2>(1);
        let per_row = log_q.gather(1, targets).neg().squeeze_dim::<1>(1);
        let sum = input.batch.rows.weighted_sum(per_row);
        terms.push(LossTerm {
            name: "cross_entropy".into(),
            weight: self.weight,
            sum,
        });
    }
}

/// Squared distance of a projected hidden state: an objective with a parameter and taps.
#[derive(Module, Debug)]
pub(crate) struct Hint {
    projection: Param<Tensor<2>>,
    layer: usize,
}

impl Hint {
    pub(crate) fn new(d_student: usize, d_teacher: usize, layer: usize) -> Self {
        let projection = Tensor::ones([d_student, d_teacher], &plain_device()) * 0.1;
        Self {
            projection: Param::from_tensor(projection),
            layer,
        }
    }
}

impl Objective for Hint {
    fn taps(&self) -> (Taps, Taps) {
        (Taps::hidden([self.layer]), Taps::hidden([self.layer]))
    }

    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let rows = &input.batch.rows;
        let student = rows.select(input.student.tapped.hidden(self.layer));
        let teacher = rows.select(input.teacher.tapped.hidden(self.layer));
        let distance = student.matmul(self.projection.val()) - teacher;
        let per_row = distance.square().mean_dim(1).squeeze_dim::<1>(1);
        terms.push(LossTerm {
            name: "hint".into(),
            weight: 0.5,
            sum: rows.weighted_sum(per_row),
        });
    }
}

/// A row of `length` tokens that depends on `seed`, with uneven weights.
pub(crate) fn row(seed: u32, length: u32) -> TokenRow {
    let tokens: Vec<u32> = (0..length)
        .map(|i| (seed * 7 + i * i * 3 + i * seed) % VOCAB as u32)
        .collect();
    let weights: Vec<f32> = (0..length)
        .map(|i| {
            if (i + seed).is_multiple_of(4) {
                0.0
            } else {
                1.0
            }
        })
        .collect();
    TokenRow::document(&tokens, &weights)
}

pub(crate) fn batch(rows: &[TokenRow]) -> TokenBatch {
    TokenBatch::from_rows(rows, 0, &plain_device())
}

/// Every parameter: path and values.
pub(crate) fn parameters<M: Module>(module: &M) -> Vec<(String, Vec<f32>)> {
    let mut reader = Reader {
        path: Vec::new(),
        found: Vec::new(),
    };
    module.visit(&mut reader);
    reader.found
}

struct Reader {
    path: Vec<String>,
    found: Vec<(String, Vec<f32>)>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let values = parameter.val().into_data().iter::<f32>().collect();
        self.found.push((self.path.join("."), values));
    }
}
