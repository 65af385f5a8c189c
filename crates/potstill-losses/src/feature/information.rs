//! Variational information distillation.
//!
//! ```text
//! L = ½ · mean_i [ (t_i − μ_i(s))² / σ_i² + log σ_i² ]      μ(s) = s · P,  σ_i² = softplus(a_i) + 10⁻⁵
//! ```
//!
//! A Gaussian with a learned variance for each channel of the teacher: channels that the student
//! cannot predict are given up instead of dominating the loss. The value may be negative.
//! Ahn et al., *Variational Information Distillation*, arXiv:1904.05835.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::softplus;
use potstill_kernels::log_space::at_least_f32;

/// Least variance.
const EPSILON: f64 = 1e-5;

/// Settings of [`VariationalInformation`].
#[derive(Config, Debug)]
pub struct VariationalInformationConfig {
    /// Width of the student's features.
    pub d_student: usize,
    /// Width of the teacher's features.
    pub d_teacher: usize,
    /// Variance of every channel at the start.
    #[config(default = 5.0)]
    pub variance: f64,
}

impl VariationalInformationConfig {
    /// Builds the loss; its projection is drawn from the generator of `device`.
    ///
    /// # Panics
    ///
    /// Panics if a width is 0 or the variance is not above 10⁻⁵.
    #[must_use]
    pub fn init(&self, device: &Device) -> VariationalInformation {
        assert!(
            self.d_student > 0 && self.d_teacher > 0,
            "a width is at least 1"
        );
        assert!(self.variance > EPSILON, "a variance is above {EPSILON}");
        let shape = [self.d_student, self.d_teacher];
        let deviation = (self.d_student as f64).powf(-0.5);
        let inverse_softplus = (self.variance - EPSILON).exp_m1().ln();
        VariationalInformation {
            projection: Param::from_tensor(Tensor::random(
                shape,
                Distribution::Normal(0.0, deviation),
                device,
            )),
            raw_variance: Param::from_tensor(Tensor::full(
                [self.d_teacher],
                inverse_softplus,
                device,
            )),
        }
    }
}

/// Negative log-likelihood of the teacher's features under a Gaussian around a projection of the
/// student's.
///
/// Built by [`VariationalInformationConfig`]; its parameters are trained with the student.
#[derive(Module, Debug)]
pub struct VariationalInformation {
    pub(super) projection: Param<Tensor<2>>,
    pub(super) raw_variance: Param<Tensor<1>>,
}

impl VariationalInformation {
    /// The loss of each row.
    ///
    /// # Shapes
    ///
    /// - `student`: `[rows, d_student]`
    /// - `teacher`: `[rows, d_teacher]`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the widths are not those of the configuration.
    #[must_use]
    pub fn per_row(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let (student, teacher) = (at_least_f32(student), at_least_f32(teacher));
        let projection = self.projection.val().cast(student.dtype());
        let difference = teacher - student.matmul(projection);
        let raw = self.raw_variance.val().cast(difference.dtype());
        let variance = (softplus(raw, 1.0) + EPSILON).unsqueeze::<2>();
        let terms = difference.square() / variance.clone() + variance.log();
        terms.mean_dim(1).squeeze_dim::<1>(1) * 0.5
    }
}
