//! The formulas as they stand, in f64.

use potstill_kernels::Blend;
use potstill_kernels::log_space::FLOOR;

/// A row of logits and what it is compared with.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) student: Vec<f64>,
    pub(super) teacher: &'a [f64],
    pub(super) target: usize,
    pub(super) weight: f64,
}

impl Row<'_> {
    /// The loss of forward KL and plain cross-entropy, and its weighted gradient for the student's
    /// logits.
    pub(super) fn evaluate(&self, blend: &Blend) -> (f64, Vec<f64>) {
        let mut loss = 0.0;
        let mut gradient = vec![0.0; self.student.len()];
        if let Some(soft) = blend.soft {
            let q = log_softmax(&self.student, soft.temperature);
            let p = log_softmax(self.teacher, soft.temperature);
            for ((slope, q), p) in gradient.iter_mut().zip(q).zip(p) {
                loss += soft.factor * p.exp() * (p - q);
                *slope += soft.factor * (q.exp() - p.exp()) / soft.temperature;
            }
        }
        if let Some(hard) = blend.hard {
            let q = log_softmax(&self.student, 1.0);
            loss -= hard.factor * q[self.target];
            gradient[self.target] -= hard.factor;
            for (slope, q) in gradient.iter_mut().zip(q) {
                *slope += hard.factor * q.exp();
            }
        }
        for slope in &mut gradient {
            *slope *= self.weight;
        }
        (loss, gradient)
    }
}

fn log_softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shifted = |logit: f64| ((logit - largest) / temperature).max(FLOOR);
    let total: f64 = logits.iter().map(|&logit| shifted(logit).exp()).sum();
    logits
        .iter()
        .map(|&logit| shifted(logit) - total.ln())
        .collect()
}

/// Rows that were normalized, and the gradients for an upstream one.
#[derive(Debug)]
pub(super) struct Normalized {
    pub(super) output: Vec<f64>,
    pub(super) x_gradient: Vec<f64>,
    pub(super) weight_gradient: Vec<f64>,
}

/// RMS normalization of rows as wide as `weight`.
pub(super) fn normalized(x: &[f64], weight: &[f64], upstream: &[f64], epsilon: f64) -> Normalized {
    let width = weight.len();
    let (mut output, mut x_gradient) = (Vec::new(), Vec::new());
    let mut weight_gradient = vec![0.0; width];
    for (x, upstream) in x.chunks_exact(width).zip(upstream.chunks_exact(width)) {
        let square = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
        let inverse = (square + epsilon).sqrt().recip();
        let products = x.iter().zip(upstream).zip(weight);
        let product = products.map(|((x, g), w)| x * g * w).sum::<f64>() / width as f64;
        for (column, ((x, g), w)) in x.iter().zip(upstream).zip(weight).enumerate() {
            output.push(x * inverse * w);
            x_gradient.push(inverse * (g * w - x * inverse * inverse * product));
            weight_gradient[column] += g * x * inverse;
        }
    }
    Normalized {
        output,
        x_gradient,
        weight_gradient,
    }
}
