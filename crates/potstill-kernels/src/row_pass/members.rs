//! The members of [`Divergence`], as what one token adds.
//!
//! The formulas are those of the portable bodies in `divergence`.

use super::adaptive::head_share;
use super::logarithm::ln;
use super::soft::{FromLogarithms, Part, Token, Tokens};
use crate::Divergence;
use crate::divergence::AlphaBetaCase;
use crate::host::exp;

/// Members that read probabilities only.
#[inline(always)]
pub(super) fn of_probabilities(divergence: Divergence, tokens: impl Tokens) -> f64 {
    match divergence {
        Divergence::GeneralizedJsd { beta } => {
            let (of_p, of_q) = (beta as f32, (1.0 - beta) as f32);
            tokens.sum(
                #[inline(always)]
                |Token { p, q, .. }| {
                    let mixture = Mixture::new(of_p * p + of_q * q);
                    let student = of_q * q * mixture.log_ratio(q);
                    Part::centered(of_p * p * mixture.log_ratio(p) + student, student)
                },
            )
        }
        Divergence::SkewForwardKl { alpha } => {
            let (of_p, of_q) = (alpha as f32, (1.0 - alpha) as f32);
            tokens.sum(
                #[inline(always)]
                |Token { p, q, .. }| {
                    let mixture = Mixture::new(of_p * p + of_q * q);
                    let gradient = -of_q * p * mixture.ratio(q);
                    Part::centered(p * mixture.log_ratio(p), gradient)
                },
            )
        }
        Divergence::SkewReverseKl { alpha } => {
            let (of_p, of_q) = ((1.0 - alpha) as f32, alpha as f32);
            tokens.sum(
                #[inline(always)]
                |Token { p, q, .. }| {
                    let mixture = Mixture::new(of_p * p + of_q * q);
                    let value = q * mixture.log_ratio(q);
                    Part::centered(value, value - of_q * q * mixture.ratio(q))
                },
            )
        }
        Divergence::TotalVariation => tokens.sum(
            #[inline(always)]
            |Token { p, q, .. }| {
                let difference = q - p;
                let sign = if difference > 0.0 {
                    0.5
                } else if difference < 0.0 {
                    -0.5
                } else {
                    0.0
                };
                Part::centered(0.5 * difference.abs(), q * sign)
            },
        ),
        // Only the squared Hellinger distance is left.
        _ => tokens.sum(
            #[inline(always)]
            |Token { p, q, .. }| {
                let (p, q) = (p.sqrt(), q.sqrt());
                Part::centered(0.5 * (p - q) * (p - q), -0.5 * p * q)
            },
        ),
    }
}

/// A mixture of both models' probabilities of a token.
#[derive(Clone, Copy)]
struct Mixture {
    inverse: f32,
}

impl Mixture {
    #[inline(always)]
    fn new(probability: f32) -> Self {
        // Where both models give 0, every term is 0 times a ratio that only has to be finite.
        let inverse = if probability < f32::MIN_POSITIVE {
            0.0
        } else {
            probability.recip()
        };
        Self { inverse }
    }

    #[inline(always)]
    fn ratio(self, probability: f32) -> f32 {
        probability * self.inverse
    }

    #[inline(always)]
    fn log_ratio(self, probability: f32) -> f32 {
        ln(self.ratio(probability))
    }
}

/// Members that read log-probabilities.
#[inline(always)]
pub(super) fn of_logarithms(divergence: Divergence, tokens: FromLogarithms<'_>) -> f64 {
    match divergence {
        Divergence::ForwardKl => tokens.sum(
            #[inline(always)]
            |token| Part {
                value: token.p * (token.log_p - token.log_q),
                direct: token.q - token.p,
                centered: 0.0,
            },
        ),
        Divergence::ReverseKl => tokens.sum(
            #[inline(always)]
            |token| {
                let value = token.q * (token.log_q - token.log_p);
                Part::centered(value, value)
            },
        ),
        Divergence::SymmetricKl { reverse } => blended_kl((1.0 - reverse) as f32, tokens),
        Divergence::AdaptiveKl { head_mass } => {
            let forward = head_share(head_mass, &tokens);
            blended_kl(forward, tokens)
        }
        Divergence::AlphaBeta { alpha, beta } => alpha_beta(alpha, beta, tokens),
        other => of_probabilities(other, tokens),
    }
}

/// `forward · KL(p‖q) + (1 − forward) · KL(q‖p)`.
#[inline(always)]
fn blended_kl(forward: f32, tokens: FromLogarithms<'_>) -> f64 {
    let reverse = 1.0 - forward;
    tokens.sum(
        #[inline(always)]
        |token| {
            let log_ratio = token.log_q - token.log_p;
            let towards_reverse = reverse * token.q * log_ratio;
            Part {
                value: towards_reverse - forward * token.p * log_ratio,
                direct: forward * (token.q - token.p) + towards_reverse,
                centered: towards_reverse,
            }
        },
    )
}

#[inline(always)]
fn alpha_beta(alpha: f64, beta: f64, tokens: FromLogarithms<'_>) -> f64 {
    let case = AlphaBetaCase::of(alpha, beta);
    let (alpha, beta) = (alpha as f32, beta as f32);
    match case {
        AlphaBetaCase::BothZero => tokens.sum(
            #[inline(always)]
            |token| {
                let log_ratio = token.log_q - token.log_p;
                Part::centered(0.5 * log_ratio * log_ratio, log_ratio)
            },
        ),
        AlphaBetaCase::AlphaZero => {
            let scale = (beta * beta).recip();
            tokens.sum(
                #[inline(always)]
                |token| {
                    let (p, q) = (power(token.log_p, beta), power(token.log_q, beta));
                    let gradient = (token.log_q - token.log_p) * q;
                    Part::centered(scale * (gradient * beta - q + p), gradient)
                },
            )
        }
        AlphaBetaCase::BetaZero => {
            let (scale, inverse) = ((alpha * alpha).recip(), alpha.recip());
            tokens.sum(
                #[inline(always)]
                |token| {
                    let (p, q) = (power(token.log_p, alpha), power(token.log_q, alpha));
                    let value = (token.log_p - token.log_q) * p * alpha + (q - p);
                    Part::centered(scale * value, inverse * (q - p))
                },
            )
        }
        AlphaBetaCase::Opposite => {
            let (scale, inverse) = ((alpha * alpha).recip(), alpha.recip());
            tokens.sum(
                #[inline(always)]
                |token| {
                    let log_ratio = token.log_q - token.log_p;
                    let excess = power(log_ratio, -alpha) - 1.0;
                    Part::centered(scale * (log_ratio * alpha + excess), -inverse * excess)
                },
            )
        }
        AlphaBetaCase::General => {
            let sum = alpha + beta;
            let (of_p, of_q, of_joint) = (
                (beta * sum).recip(),
                (alpha * sum).recip(),
                (alpha * beta).recip(),
            );
            let inverse = alpha.recip();
            tokens.sum(
                #[inline(always)]
                |token| {
                    let joint = exponential(token.log_p.mul_add(alpha, token.log_q * beta));
                    let (p, q) = (power(token.log_p, sum), power(token.log_q, sum));
                    let value = p * of_p + q * of_q - joint * of_joint;
                    Part::centered(value, inverse * (q - joint))
                },
            )
        }
    }
}

#[inline(always)]
fn power(log: f32, exponent: f32) -> f32 {
    exponential(log * exponent)
}

/// `e^x` with its limits 0 and ∞.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    if x < -87.33 {
        0.0
    } else if x > 88.37 {
        f32::INFINITY
    } else {
        exp(x)
    }
}
