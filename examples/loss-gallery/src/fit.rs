//! A Gaussian student fitted to a teacher with two modes, which it cannot copy.
//!
//! ```text
//! z_i = −(x_i − μ)² / 2σ²      q = softmax(z)
//! ∂D/∂μ = Σ_i ∂D/∂z_i · (x_i − μ) / σ²      ∂D/∂log σ = Σ_i ∂D/∂z_i · (x_i − μ)² / σ²
//! ```
//!
//! The axis is the vocabulary: each of its points is a token.

use potstill::losses::RowLoss;

use crate::numbers::value_and_gradient;

const POINTS: usize = 200;
const END: f64 = 8.0;

/// Share, mean and standard deviation of the teacher's modes.
const MODES: [(f64, f64, f64); 2] = [(0.65, -2.3, 0.6), (0.35, 2.3, 0.8)];

/// Where descent starts from: with more than one minimum, a single start would show its own luck.
const START_MEANS: [f64; 5] = [-3.0, -1.5, 0.0, 1.5, 3.0];
const START_DEVIATIONS: [f64; 3] = [0.5, 1.0, 2.5];

/// A student may not shrink into the gap between two points or leave the axis behind.
const DEVIATIONS: [f64; 2] = [0.15, 20.0];

/// Rprop: what a stride is multiplied by when the gradient keeps its sign and when it turns, and
/// how long it may grow.
const GROWTH: f64 = 1.2;
const SHRINKAGE: f64 = 0.5;
const LONGEST_STRIDE: f64 = 0.05;

/// Ends closer than this in mean and log-deviation are one.
const SAME: f64 = 0.2;

/// Points on a line.
pub(crate) struct Axis {
    /// Their positions.
    pub(crate) positions: Vec<f64>,
}

impl Axis {
    pub(crate) fn new() -> Self {
        let step = 2.0 * END / (POINTS - 1) as f64;
        Self {
            positions: (0..POINTS).map(|i| step * i as f64 - END).collect(),
        }
    }

    /// Logits of the teacher.
    pub(crate) fn teacher(&self) -> Vec<f64> {
        let density = |x: f64| -> f64 {
            MODES
                .iter()
                .map(|(share, mean, deviation)| {
                    share / deviation * (-0.5 * ((x - mean) / deviation).powi(2)).exp()
                })
                .sum()
        };
        self.positions.iter().map(|&x| density(x).ln()).collect()
    }

    /// The density of `softmax(logits)`, as a curve.
    pub(crate) fn density(&self, logits: &[f64]) -> Vec<(f64, f64)> {
        let spacing = self.positions[1] - self.positions[0];
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let density = logits.iter().map(|logit| logit.exp() / (total * spacing));
        self.positions.iter().copied().zip(density).collect()
    }
}

/// A Gaussian student where descent ended.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// μ.
    pub(crate) mean: f64,
    /// σ.
    pub(crate) deviation: f64,
    /// The divergence there.
    pub(crate) value: f64,
}

impl Fit {
    /// Logits of the student.
    pub(crate) fn logits(&self, axis: &Axis) -> Vec<f64> {
        logits(axis, self.mean, self.deviation)
    }
}

/// Gradient descent from several starts; the distinct places where it ends, lowest first.
pub(crate) fn fits(loss: &dyn RowLoss, axis: &Axis, teacher: &[f64], steps: usize) -> Vec<Fit> {
    let starts = START_MEANS
        .iter()
        .flat_map(|&mean| START_DEVIATIONS.map(|deviation| [mean, deviation.ln()]))
        .collect();
    let mut descents = Descents::new(loss, axis, teacher, starts);
    for _ in 0..steps {
        descents.step();
    }
    let mut ends = descents.ends();
    ends.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut distinct: Vec<Fit> = Vec::new();
    for end in ends {
        let known = distinct.iter().any(|fit| {
            (fit.mean - end.mean).abs() < SAME && (fit.deviation / end.deviation).ln().abs() < SAME
        });
        if !known {
            distinct.push(end);
        }
    }
    distinct
}

fn logits(axis: &Axis, mean: f64, deviation: f64) -> Vec<f64> {
    let logit = |x: &f64| -0.5 * ((x - mean) / deviation).powi(2);
    axis.positions.iter().map(logit).collect()
}

/// Mean and log-deviation.
type Point = [f64; 2];

/// Value and gradient at a point.
#[derive(Clone, Copy)]
struct Slope {
    value: f64,
    gradient: Point,
}

/// Descents side by side, by Rprop: each coordinate has a stride of its own, which grows while the
/// gradient keeps its sign and shrinks when it turns.
///
/// Only signs matter, since divergences differ a hundredfold in scale, and values do not, since the
/// gradient of the adaptive KL takes its weights for constants.
struct Descents<'a> {
    loss: &'a dyn RowLoss,
    axis: &'a Axis,
    teacher: &'a [f64],
    points: Vec<Point>,
    slopes: Vec<Slope>,
    strides: Vec<Point>,
}

impl<'a> Descents<'a> {
    fn new(loss: &'a dyn RowLoss, axis: &'a Axis, teacher: &'a [f64], points: Vec<Point>) -> Self {
        let mut descents = Self {
            loss,
            axis,
            teacher,
            strides: vec![[0.02; 2]; points.len()],
            slopes: Vec::new(),
            points,
        };
        descents.slopes = descents.slopes_at(&descents.points);
        descents
    }

    fn step(&mut self) {
        let directions = self.strides.iter().zip(&self.slopes);
        for (point, (stride, slope)) in self.points.iter_mut().zip(directions) {
            for (axis, coordinate) in point.iter_mut().enumerate() {
                let gradient = slope.gradient[axis];
                if gradient != 0.0 {
                    *coordinate -= stride[axis] * gradient.signum();
                }
            }
            point[1] = point[1].clamp(DEVIATIONS[0].ln(), DEVIATIONS[1].ln());
        }
        let slopes = self.slopes_at(&self.points);
        let turns = slopes.iter().zip(&self.slopes);
        for (stride, (slope, before)) in self.strides.iter_mut().zip(turns) {
            for (axis, length) in stride.iter_mut().enumerate() {
                let kept = slope.gradient[axis] * before.gradient[axis] > 0.0;
                let factor = if kept { GROWTH } else { SHRINKAGE };
                *length = (*length * factor).min(LONGEST_STRIDE);
            }
        }
        self.slopes = slopes;
    }

    fn slopes_at(&self, points: &[Point]) -> Vec<Slope> {
        let student = points
            .iter()
            .flat_map(|[mean, log_deviation]| logits(self.axis, *mean, log_deviation.exp()))
            .collect();
        let (values, gradients) = value_and_gradient(self.loss, student, self.teacher);
        let rows = gradients.chunks(self.axis.positions.len());
        (points.iter().zip(values).zip(rows))
            .map(|(([mean, log_deviation], value), gradient)| {
                let variance = (2.0 * log_deviation).exp();
                let mut slope = [0.0; 2];
                for (x, gradient) in self.axis.positions.iter().zip(gradient) {
                    slope[0] += gradient * (x - mean) / variance;
                    slope[1] += gradient * (x - mean).powi(2) / variance;
                }
                Slope {
                    value,
                    gradient: slope,
                }
            })
            .collect()
    }

    fn ends(&self) -> Vec<Fit> {
        (self.points.iter().zip(&self.slopes))
            .map(|([mean, log_deviation], slope)| Fit {
                mean: *mean,
                deviation: log_deviation.exp(),
                value: slope.value,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use potstill::losses::Divergence;

    use super::*;

    const STEPS: usize = 400;

    /// Mean and variance of `softmax(logits)` on the axis.
    fn moments(axis: &Axis, logits: &[f64]) -> [f64; 2] {
        let weights: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        let total: f64 = weights.iter().sum();
        let mean_of = |f: &dyn Fn(f64) -> f64| {
            let sum: f64 = axis
                .positions
                .iter()
                .zip(&weights)
                .map(|(&x, w)| w * f(x))
                .sum();
            sum / total
        };
        let mean = mean_of(&|x| x);
        [mean, mean_of(&|x| (x - mean).powi(2))]
    }

    #[test]
    fn forward_kl_copies_the_moments_of_the_teacher_and_has_one_minimum() {
        let axis = Axis::new();
        let teacher = axis.teacher();
        let fits = fits(&Divergence::ForwardKl, &axis, &teacher, STEPS);
        assert_eq!(fits.len(), 1);
        let expected = moments(&axis, &teacher);
        let actual = moments(&axis, &fits[0].logits(&axis));
        for (actual, expected) in actual.iter().zip(expected) {
            assert!(
                (actual - expected).abs() < 1e-6,
                "{actual} is not {expected}"
            );
        }
    }

    #[test]
    fn reverse_kl_keeps_to_the_heavier_mode_and_also_stops_at_the_other() {
        let axis = Axis::new();
        let fits = fits(&Divergence::ReverseKl, &axis, &axis.teacher(), STEPS);
        let [(_, heavy, width), (_, light, _)] = MODES;
        assert!((fits[0].mean - heavy).abs() < 0.05 && (fits[0].deviation - width).abs() < 0.05);
        assert!(fits[1..].iter().any(|fit| (fit.mean - light).abs() < 0.05));
    }
}
