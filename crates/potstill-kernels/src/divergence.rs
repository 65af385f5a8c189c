//! Divergences between the teacher's distribution `p` and the student's `q`, row by row.
//!
//! ```text
//! p = softmax(z_T / τ)    q = softmax(z_S / τ)    D(p, q) = Σ_v f(p_v, q_v)    in nats
//! ∂D/∂z_S = (g − q · Σ_v g_v) / τ    with    g_v = q_v · ∂f/∂q_v
//! ```
//!
//! Every divergence is 0 when p = q and positive otherwise. No factor τ² is applied: that belongs to
//! Hinton's objective, see [`Blend`](crate::Blend).
//!
//! A teacher logit of −∞ forbids a token. Log-probabilities stop at −10⁵, so a student that gives
//! probability to a forbidden token pays up to 10⁵ nats in the divergences where it should pay ∞,
//! and nothing is ever NaN. A row must allow at least one token.

use burn::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{check, check_share};
use crate::log_space::Softmax;
use crate::row_loss::{LogitRows, RowLoss};
use crate::{Blend, Error};

mod adaptive;
mod alpha_beta;
mod mixture;
mod pointwise;

#[cfg(feature = "flex")]
pub(crate) use alpha_beta::Case as AlphaBetaCase;

/// How far a student's distribution is from the teacher's.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use potstill_kernels::Divergence;
///
/// let device = potstill_testkit::plain_device();
/// let teacher = Tensor::<2>::from_floats([[2.0, 1.0, 0.0]], &device);
/// let student = Tensor::<2>::from_floats([[0.0, 1.0, 2.0]], &device);
/// let divergence = Divergence::generalized_jsd(0.5)?;
/// let (rows, gradient) = divergence.value_and_gradient(student, teacher, 1.0);
/// assert!(rows.into_scalar::<f32>() > 0.0);
/// assert_eq!(gradient.dims(), [1, 3]);
/// # Ok::<(), potstill_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Divergence {
    /// `KL(p‖q) = Σ p (log p − log q)`; the student covers every mode of the teacher.
    ForwardKl,
    /// `KL(q‖p) = Σ q (log q − log p)`; the student keeps to modes it can hold.
    ///
    /// Gu et al., *MiniLLM*, arXiv:2306.08543.
    ReverseKl,
    /// `(1 − λ) · KL(p‖q) + λ · KL(q‖p)`.
    #[non_exhaustive]
    SymmetricKl {
        /// λ, the share of the reverse divergence.
        #[serde(deserialize_with = "share")]
        reverse: f64,
    },
    /// `β · KL(p‖m) + (1 − β) · KL(q‖m)` with `m = β · p + (1 − β) · q`; at most `H(β)`.
    ///
    /// β = 0 and β = 1 are forward and reverse KL, as in TRL; the scale jumps there, since the
    /// formula itself goes to 0. Agarwal et al., *GKD*, arXiv:2306.13649.
    #[non_exhaustive]
    GeneralizedJsd {
        /// The teacher's share of the mixture.
        #[serde(deserialize_with = "share")]
        beta: f64,
    },
    /// `KL(p ‖ α · p + (1 − α) · q)`, at most `ln(1/α)`.
    ///
    /// Ko et al., *DistiLLM*, arXiv:2402.03898. Their code drops the teacher's entropy.
    #[non_exhaustive]
    SkewForwardKl {
        /// The teacher's share of the mixture; 0 is forward KL.
        #[serde(deserialize_with = "skew")]
        alpha: f64,
    },
    /// `KL(q ‖ (1 − α) · p + α · q)`, at most `ln(1/α)`.
    ///
    /// Ko et al., *DistiLLM*, arXiv:2402.03898. The gradient flows through the mixture too.
    #[non_exhaustive]
    SkewReverseKl {
        /// The student's share of the mixture; 0 is reverse KL.
        #[serde(deserialize_with = "skew")]
        alpha: f64,
    },
    /// `½ Σ |p − q|`, at most 1. Wen et al., *f-distill*, arXiv:2307.15190.
    TotalVariation,
    /// `½ Σ (√p − √q)²`, at most 1.
    SquaredHellinger,
    /// `−1/(αβ) · Σ [p^α q^β − α/(α+β) · p^(α+β) − β/(α+β) · q^(α+β)]`, and its limits where α, β or
    /// α + β is 0.
    ///
    /// (1, 0) is forward KL, (0, 1) reverse KL, (½, ½) four times [`SquaredHellinger`], (1, 1) half
    /// the squared distance. Wang et al., *ABKD*, arXiv:2505.04560; the limits of the released code
    /// are off by a factor α or β.
    ///
    /// [`SquaredHellinger`]: Self::SquaredHellinger
    #[non_exhaustive]
    AlphaBeta {
        /// α.
        #[serde(deserialize_with = "exponent")]
        alpha: f64,
        /// β.
        #[serde(deserialize_with = "exponent")]
        beta: f64,
    },
    /// Forward KL where the teacher's head tokens are missed, reverse KL where its tail is.
    ///
    /// ```text
    /// w = Σ_head |p − q| / Σ |p − q|      D = w · KL(p‖q) + (1 − w) · KL(q‖p)
    /// ```
    ///
    /// The head are the likeliest tokens of the teacher whose probabilities sum to at most μ, and
    /// the likeliest one in any case; w is a constant for the gradient.
    /// Wu et al., *Rethinking KL divergence in KD for LLMs*, arXiv:2404.02657.
    #[non_exhaustive]
    AdaptiveKl {
        /// μ, the mass of the head.
        #[serde(deserialize_with = "share")]
        head_mass: f64,
    },
}

impl Divergence {
    /// `(1 − reverse) · KL(p‖q) + reverse · KL(q‖p)`.
    ///
    /// # Errors
    ///
    /// When `reverse` is not between 0 and 1.
    pub fn symmetric_kl(reverse: f64) -> Result<Self, Error> {
        Ok(Self::SymmetricKl {
            reverse: check_share("reverse", reverse)?,
        })
    }

    /// The generalized Jensen–Shannon divergence.
    ///
    /// # Errors
    ///
    /// When `beta` is not between 0 and 1.
    pub fn generalized_jsd(beta: f64) -> Result<Self, Error> {
        Ok(Self::GeneralizedJsd {
            beta: check_share("beta", beta)?,
        })
    }

    /// Forward KL to a mixture that holds `alpha` of the teacher.
    ///
    /// # Errors
    ///
    /// When `alpha` is not at least 0 and below 1.
    pub fn skew_forward_kl(alpha: f64) -> Result<Self, Error> {
        Ok(Self::SkewForwardKl {
            alpha: check_skew(alpha)?,
        })
    }

    /// Reverse KL to a mixture that holds `alpha` of the student.
    ///
    /// # Errors
    ///
    /// When `alpha` is not at least 0 and below 1.
    pub fn skew_reverse_kl(alpha: f64) -> Result<Self, Error> {
        Ok(Self::SkewReverseKl {
            alpha: check_skew(alpha)?,
        })
    }

    /// The α–β divergence.
    ///
    /// An α, β or α + β closer to 0 than 0.001 is taken as its limit at 0: in between, f32 would
    /// lose more to cancellation. Finite for all logits where neither α, β nor α + β is negative.
    ///
    /// # Errors
    ///
    /// When a value is not finite.
    pub fn alpha_beta(alpha: f64, beta: f64) -> Result<Self, Error> {
        Ok(Self::AlphaBeta {
            alpha: check_exponent("alpha", alpha)?,
            beta: check_exponent("beta", beta)?,
        })
    }

    /// The adaptive mixture of forward and reverse KL.
    ///
    /// # Errors
    ///
    /// When `head_mass` is not between 0 and 1.
    pub fn adaptive_kl(head_mass: f64) -> Result<Self, Error> {
        Ok(Self::AdaptiveKl {
            head_mass: check_share("head_mass", head_mass)?,
        })
    }

    /// The name under which it is logged, such as `forward_kl`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ForwardKl => "forward_kl",
            Self::ReverseKl => "reverse_kl",
            Self::SymmetricKl { .. } => "symmetric_kl",
            Self::GeneralizedJsd { .. } => "generalized_jsd",
            Self::SkewForwardKl { .. } => "skew_forward_kl",
            Self::SkewReverseKl { .. } => "skew_reverse_kl",
            Self::TotalVariation => "total_variation",
            Self::SquaredHellinger => "squared_hellinger",
            Self::AlphaBeta { .. } => "alpha_beta",
            Self::AdaptiveKl { .. } => "adaptive_kl",
        }
    }

    /// The divergence of each row, in f32 (f64 for f64 logits).
    ///
    /// Differentiable by autodiff, which then stores several values per logit;
    /// [`value_and_gradient`](Self::value_and_gradient) does not.
    ///
    /// # Shapes
    ///
    /// - `student_logits`, `teacher_logits`: `[rows, vocab]`
    /// - output: `[rows]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    #[must_use]
    pub fn per_row(
        &self,
        student_logits: Tensor<2>,
        teacher_logits: Tensor<2>,
        temperature: f64,
    ) -> Tensor<1> {
        self.evaluate(student_logits, teacher_logits, temperature, Wanted::Value)
            .value
    }

    /// The divergence of each row and its gradient with respect to the student's logits, in closed
    /// form.
    ///
    /// # Shapes
    ///
    /// - `student_logits`, `teacher_logits`: `[rows, vocab]`
    /// - output: `[rows]`, `[rows, vocab]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    #[must_use]
    pub fn value_and_gradient(
        &self,
        student_logits: Tensor<2>,
        teacher_logits: Tensor<2>,
        temperature: f64,
    ) -> (Tensor<1>, Tensor<2>) {
        let result = self.evaluate(
            student_logits,
            teacher_logits,
            temperature,
            Wanted::ValueAndGradient,
        );
        let gradient = result.gradient.expect("the gradient was wanted");
        (
            result.value,
            if temperature == 1.0 {
                gradient
            } else {
                gradient / temperature
            },
        )
    }

    fn evaluate(
        &self,
        student_logits: Tensor<2>,
        teacher_logits: Tensor<2>,
        temperature: f64,
        wanted: Wanted,
    ) -> Evaluated {
        assert_eq!(
            student_logits.dims(),
            teacher_logits.dims(),
            "student and teacher logits must have one shape"
        );
        let q = Softmax::new(student_logits, temperature);
        let p = Softmax::new(teacher_logits, temperature);
        self.of_distributions(p, q, wanted)
    }

    /// Members at the ends of their range, where they are another member.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::GeneralizedJsd { beta: 0.0 } | Self::SkewForwardKl { alpha: 0.0 } => {
                Self::ForwardKl
            }
            Self::GeneralizedJsd { beta: 1.0 } | Self::SkewReverseKl { alpha: 0.0 } => {
                Self::ReverseKl
            }
            other => other,
        }
    }

    /// The divergence of two distributions, its gradient taken at temperature 1.
    pub(crate) fn of_distributions(&self, p: Softmax, q: Softmax, wanted: Wanted) -> Evaluated {
        match self.canonical() {
            Self::ForwardKl => pointwise::forward_kl(p, q, wanted),
            Self::ReverseKl => pointwise::reverse_kl(p, q, wanted),
            Self::SymmetricKl { reverse } => pointwise::symmetric_kl(reverse, p, q, wanted),
            Self::GeneralizedJsd { beta } => mixture::generalized_jsd(beta, p, q, wanted),
            Self::SkewForwardKl { alpha } => mixture::skew_forward_kl(alpha, p, q, wanted),
            Self::SkewReverseKl { alpha } => mixture::skew_reverse_kl(alpha, p, q, wanted),
            Self::TotalVariation => pointwise::total_variation(p, q, wanted),
            Self::SquaredHellinger => pointwise::squared_hellinger(p, q, wanted),
            Self::AlphaBeta { alpha, beta } => alpha_beta::alpha_beta(alpha, beta, p, q, wanted),
            Self::AdaptiveKl { head_mass } => {
                let forward = adaptive::head_share(head_mass, &p.probs, &q.probs);
                pointwise::blended_kl(forward, p, q, wanted)
            }
        }
    }
}

/// A divergence at temperature 1.
impl RowLoss for Divergence {
    fn per_row(&self, rows: LogitRows) -> Tensor<1> {
        let (student, teacher) = rows.student_and_teacher();
        self.per_row(student, teacher, 1.0)
    }

    fn value_and_gradient(&self, rows: LogitRows) -> (Tensor<1>, Tensor<2>) {
        let (student, teacher) = rows.student_and_teacher();
        self.value_and_gradient(student, teacher, 1.0)
    }

    fn blend(&self) -> Option<Blend> {
        Some(Blend::soft(*self, 1.0))
    }
}

/// What to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Value,
    ValueAndGradient,
}

impl Wanted {
    /// Computes a gradient only where one is wanted.
    pub(crate) fn gradient(self, compute: impl FnOnce() -> Tensor<2>) -> Option<Tensor<2>> {
        (self == Self::ValueAndGradient).then(compute)
    }
}

/// A divergence and, where it was wanted, its gradient with respect to the student's logits at
/// temperature 1.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// `[rows]`.
    pub(crate) value: Tensor<1>,
    /// `[rows, vocab]`.
    pub(crate) gradient: Option<Tensor<2>>,
}

fn check_skew(alpha: f64) -> Result<f64, Error> {
    check(
        "alpha",
        alpha,
        (0.0..1.0).contains(&alpha),
        "at least 0 and below 1",
    )
}

fn check_exponent(name: &'static str, value: f64) -> Result<f64, Error> {
    check(name, value, value.is_finite(), "a finite number")
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    check_share("the share", f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn skew<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    check_skew(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn exponent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    check_exponent("the exponent", f64::deserialize(deserializer)?)
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
