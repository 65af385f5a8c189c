//! Fused operations on a device, against f64 by the formula and against their portable bodies.

use anyhow::{Context, Result};
use burn::prelude::*;
use potstill_core::{LmHead, Prediction};
use potstill_kernels::{
    Blend, CrossEntropy, Divergence, HardPart, HeadRows, SoftPart, portable_bodies, rms_norm,
    use_portable_bodies,
};
use potstill_testkit::{normals, uniforms, values};

use self::formula::{Row, normalized};
use super::reference::{largest_error, scale};
use super::report::{Measure, Report};

mod formula;

/// Relative to the largest value, where that is above 1.
const TOLERANCE: f64 = 1e-5;

/// The same for the portable bodies, which add up whole vocabularies in whatever way the backend adds:
/// libtorch's f32 dot product is off by 3e-5 at 49152 tokens.
const PORTABLE_TOLERANCE: f64 = 1e-4;

/// Rows and tokens: one of each, prime numbers, and the vocabulary of SmolLM2.
const LOGITS: [[usize; 2]; 7] = [
    [1, 1],
    [3, 1],
    [1, 7],
    [5, 1009],
    [33, 130],
    [131, 64],
    [2, 49_152],
];

/// One of them, where the student forbids what the teacher does not: losses of thousands of nats.
const CONTRADICTION: [usize; 2] = [131, 64];

/// Rows and widths.
const HIDDEN: [[usize; 2]; 7] = [
    [1, 1],
    [5, 1],
    [1, 576],
    [7, 13],
    [131, 64],
    [33, 1031],
    [1024, 576],
];

pub(super) fn check(device: &Device, report: &mut Report) {
    let soft = |temperature: f64| SoftPart {
        divergence: Divergence::ForwardKl,
        temperature,
        factor: temperature * temperature,
    };
    let hard = |factor| HardPart {
        cross_entropy: CrossEntropy::default(),
        factor,
    };
    let blends = [
        ("forward_kl", Some(soft(1.0)), None),
        ("forward_kl_T2", Some(soft(2.0)), None),
        ("cross_entropy", None, Some(hard(1.0))),
        ("hinton", Some(soft(1.0)), Some(hard(0.3))),
        ("hinton_T2", Some(soft(2.0)), Some(hard(0.3))),
    ];
    for (name, soft, hard) in blends {
        let blend = Blend { soft, hard };
        report.case(format!("kernels/{name}"), || head_rows(&blend, device));
    }
    report.case("kernels/rms_norm", || normalization(device));
}

/// The largest errors of a few quantities over several shapes.
#[derive(Debug, Default)]
struct Errors(Vec<(&'static str, f64)>);

impl Errors {
    fn add(&mut self, what: &'static str, actual: &[f64], expected: &[f64]) {
        let error = largest_error(actual, expected, |_| true) / scale(expected, |_| true);
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            // An error that is not a number stays.
            Some((_, largest)) if error <= *largest => {}
            Some((_, largest)) if largest.is_nan() => {}
            Some((_, largest)) => *largest = error,
            None => self.0.push((what, error)),
        }
    }

    fn measures(&self) -> Vec<Measure> {
        let measure = |&(what, error): &(&'static str, f64)| {
            let portable = what == "portable";
            let tolerance = if portable {
                PORTABLE_TOLERANCE
            } else {
                TOLERANCE
            };
            Measure::new(what, error, tolerance)
        };
        self.0.iter().map(measure).collect()
    }
}

/// What `compute` gives with the bodies of the device and with the portable ones.
fn both_bodies<T>(compute: impl Fn() -> Result<T>) -> Result<[T; 2]> {
    let before = portable_bodies();
    let results = [false, true].map(|portable| {
        use_portable_bodies(portable);
        compute()
    });
    use_portable_bodies(before);
    let [fused, portable] = results;
    Ok([fused?, portable?])
}

fn forbid<'a>(logits: impl Iterator<Item = &'a mut f64>) {
    logits.for_each(|logit| *logit = f64::NEG_INFINITY);
}

/// Values of f32, so that both sides start from the same.
fn rounded(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|x| f64::from(x as f32)).collect()
}

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Logits of both models, some of them forbidden, with what else a loss reads.
struct Logits {
    shape: [usize; 2],
    student: Vec<f64>,
    /// What the head adds to each token.
    bias: Vec<f64>,
    teacher: Vec<f64>,
    targets: Vec<usize>,
    weights: Vec<f64>,
}

impl Logits {
    fn new([rows, vocab]: [usize; 2], seed: u64) -> Self {
        let mut teacher = rounded(normals(rows * vocab, 3.0, seed));
        for row in teacher.chunks_exact_mut(vocab) {
            // The first token stays, so that a row allows at least one.
            forbid(row.iter_mut().skip(1).step_by(3));
        }
        let mut bias = vec![0.0; vocab];
        // What the teacher forbids too.
        forbid(bias.iter_mut().skip(4).step_by(12));
        if [rows, vocab] == CONTRADICTION {
            forbid(bias.iter_mut().skip(6).step_by(30));
        }
        let target = |x: f64| {
            let target = (x * vocab as f64) as usize;
            if bias[target] == 0.0 { target } else { 0 }
        };
        // The offset is one that no distribution notices.
        let student = normals(rows * vocab, 3.0, seed + 1);
        Self {
            shape: [rows, vocab],
            student: rounded(student.into_iter().map(|x| x + 40.0).collect()),
            teacher,
            targets: uniforms(rows, seed + 2).into_iter().map(target).collect(),
            weights: (0..rows)
                .map(|row| [1.0, 0.25, 0.0, 2.0][row % 4])
                .collect(),
            bias,
        }
    }

    /// The losses by the formula, and their weighted gradients for the logits.
    fn expected(&self, blend: &Blend) -> (Vec<f64>, Vec<f64>) {
        let [rows, vocab] = self.shape;
        let (mut losses, mut gradient) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let logits = &self.student[row * vocab..][..vocab];
            let student = logits.iter().zip(&self.bias).map(|(x, bias)| x + bias);
            let row = Row {
                student: student.collect(),
                teacher: &self.teacher[row * vocab..][..vocab],
                target: self.targets[row],
                weight: self.weights[row],
            };
            let (loss, of_row) = row.evaluate(blend);
            losses.push(loss);
            gradient.extend(of_row);
        }
        (losses, gradient)
    }

    /// The same on the device: rows of the identity are hidden states whose logits are the columns
    /// of the head, and the gradient of the head is that of the logits.
    fn actual(&self, blend: &Blend, device: &Device) -> Result<(Vec<f64>, Vec<f64>)> {
        let [rows, vocab] = self.shape;
        let training = device.clone().autodiff();
        let hidden = Tensor::<2>::eye(rows, &training);
        let head = LmHead {
            bias: Some(tensor(&self.bias, [vocab], &training)),
            ..LmHead::new(
                tensor::<2>(&self.student, [rows, vocab], &training)
                    .transpose()
                    .require_grad(),
            )
        };
        let targets: Vec<i64> = self.targets.iter().map(|&target| target as i64).collect();
        let targets = Tensor::from_ints(targets.as_slice(), device);
        let weights = tensor(&self.weights, [rows], device);
        let rows = HeadRows {
            hidden: &hidden,
            head: &head,
            teacher: &Prediction::Dense(tensor(&self.teacher, [rows, vocab], device)),
            targets: Some(&targets),
            // More than one chunk where there are many rows.
            chunk_rows: Some(64),
        };
        let losses = values(&rows.per_row(blend));
        let gradients = rows.weighted_sum(blend, Some(&weights)).backward();
        let gradient = head.weight.grad(&gradients).context("no gradient")?;
        Ok((losses, values(&gradient.transpose())))
    }
}

fn head_rows(blend: &Blend, device: &Device) -> Result<Vec<Measure>> {
    let mut errors = Errors::default();
    for (seed, shape) in LOGITS.into_iter().enumerate() {
        let logits = Logits::new(shape, seed as u64);
        let (losses, gradient) = logits.expected(blend);
        let [fused, portable] = both_bodies(|| logits.actual(blend, device))?;
        errors.add("loss", &fused.0, &losses);
        errors.add("gradient", &fused.1, &gradient);
        errors.add("portable", &fused.0, &portable.0);
        errors.add("portable", &fused.1, &portable.1);
    }
    Ok(errors.measures())
}

fn normalization(device: &Device) -> Result<Vec<Measure>> {
    const EPSILON: f64 = 1e-2;
    let mut errors = Errors::default();
    for (seed, [rows, width]) in HIDDEN.into_iter().enumerate() {
        let draw = |count, seed| rounded(normals(count, 1.0, seed));
        let seed = 3 * seed as u64;
        let x = draw(rows * width, seed);
        let weight = draw(width, seed + 1);
        let upstream = draw(rows * width, seed + 2);
        let expected = normalized(&x, &weight, &upstream, EPSILON);
        let training = device.clone().autodiff();
        let [fused, portable] = both_bodies(|| {
            let x = tensor::<2>(&x, [rows, width], &training).require_grad();
            let weight = tensor::<1>(&weight, [width], &training).require_grad();
            let y = rms_norm(x.clone(), weight.clone(), EPSILON);
            let upstream = tensor::<2>(&upstream, [rows, width], &training);
            let gradients = (y.clone() * upstream).sum().backward();
            let of_x = x.grad(&gradients).context("no gradient of x")?;
            let of_weight = weight
                .grad(&gradients)
                .context("no gradient of the weight")?;
            Ok([values(&y), values(&of_x), values(&of_weight)])
        })?;
        for ((fused, portable), (what, expected)) in (fused.iter().zip(&portable)).zip([
            ("output", &expected.output),
            ("gradient", &expected.x_gradient),
            ("gradient", &expected.weight_gradient),
        ]) {
            errors.add(what, fused, expected);
            errors.add("portable", fused, portable);
        }
    }
    Ok(errors.measures())
}
