//! Ordering several candidate answers as the teacher does.
//!
//! With s the student's scores of the candidates of a prompt, usually mean log-probabilities, and t
//! the teacher's:
//!
//! ```text
//! hinge          L = Σ_{i,j: t_i > t_j} max(0, s_j − s_i)
//! Plackett–Luce  L = −Σ_k log( exp s_(k) / Σ_{l ≥ k} exp s_(l) ),   (1), (2), … in the teacher's order
//! ```
//!
//! Yuan et al., *RRHF*, arXiv:2304.05302 (hinge); Song et al., *Preference Ranking Optimization*,
//! arXiv:2306.17492 (Plackett–Luce). Equal teacher scores cost nothing in the first and are taken in
//! any order in the second.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use potstill_kernels::log_space::at_least_f32;

/// The hinge ranking loss of each prompt.
///
/// # Shapes
///
/// - `student_scores`, `teacher_scores`: `[prompts, candidates]`
/// - output: `[prompts]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn rank_hinge(student_scores: Tensor<2>, teacher_scores: Tensor<2>) -> Tensor<1> {
    assert_eq!(
        student_scores.dims(),
        teacher_scores.dims(),
        "scores must have one shape"
    );
    // Entry [prompt, i, j] is score j minus score i.
    let gaps = |scores: Tensor<2>| {
        let scores = at_least_f32(scores);
        scores.clone().unsqueeze_dim::<3>(1) - scores.unsqueeze_dim::<3>(2)
    };
    let is_not_better = gaps(teacher_scores.detach()).greater_equal_scalar(0.0);
    let violations = gaps(student_scores)
        .clamp_min(0.0)
        .mask_fill(is_not_better, 0.0);
    violations.sum_dim(2).sum_dim(1).flatten::<1>(0, 2)
}

/// Negative log-likelihood of the teacher's order of each prompt's candidates.
///
/// # Shapes
///
/// - `student_scores`, `teacher_scores`: `[prompts, candidates]`
/// - output: `[prompts]`
///
/// # Panics
///
/// Panics if the shapes differ.
#[must_use]
pub fn rank_plackett_luce(student_scores: Tensor<2>, teacher_scores: Tensor<2>) -> Tensor<1> {
    assert_eq!(
        student_scores.dims(),
        teacher_scores.dims(),
        "scores must have one shape"
    );
    let [prompts, candidates] = student_scores.dims();
    let order = teacher_scores.detach().argsort_descending(1);
    let ordered = at_least_f32(student_scores).gather(1, order);
    let mut total = Tensor::zeros([prompts], (&ordered.device(), ordered.dtype()));
    for first in 0..candidates.saturating_sub(1) {
        let remaining = ordered.clone().narrow(1, first, candidates - first);
        total = total
            - log_softmax(remaining, 1)
                .narrow(1, 0, 1)
                .squeeze_dim::<1>(1);
    }
    total
}

#[cfg(test)]
mod tests {
    use potstill_testkit::{Tolerance, assert_close, assert_gradient, tensor_f64, values};

    use super::*;

    fn teacher() -> Tensor<2> {
        tensor_f64(&[3.0, 1.0, 2.0, 0.0, 5.0, 5.0], [2, 3])
    }

    #[test]
    fn the_right_order_costs_nothing_in_the_hinge() {
        let student = tensor_f64(&[-1.0, -3.0, -2.0, -9.0, -1.0, -2.0], [2, 3]);
        assert_eq!(values(&rank_hinge(student, teacher())), [0.0, 0.0]);
    }

    #[test]
    fn each_pair_in_the_wrong_order_costs_its_gap() {
        let student = tensor_f64(&[-3.0, -1.0, -2.0, -1.0, -2.0, -4.0], [2, 3]);
        // First prompt: 0 under 1 by 2, 0 under 2 by 1, 2 under 1 by 1. Second: 1 and 2 under 0.
        assert_close(
            &values(&rank_hinge(student, teacher())),
            &[4.0, 4.0],
            Tolerance::F64,
        );
    }

    #[test]
    fn equal_scores_make_every_order_as_likely() {
        let student = tensor_f64(&[1.0; 6], [2, 3]);
        let loss = values(&rank_plackett_luce(student, teacher()));
        assert_close(&loss, &[6f64.ln(); 2], Tolerance::F64);
    }

    #[test]
    fn the_teachers_order_is_the_likeliest() {
        let loss = |scores: [f64; 3]| {
            let teacher = teacher().narrow(0, 0, 1);
            values(&rank_plackett_luce(tensor_f64(&scores, [1, 3]), teacher))[0]
        };
        assert!(loss([2.0, 0.0, 1.0]) < loss([2.0, 1.0, 0.0]));
        assert!(loss([2.0, 1.0, 0.0]) < loss([0.0, 2.0, 1.0]));
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let at = [-3.0, -1.0, -2.5, -1.2, -2.0, -4.0];
        assert_gradient(|s| rank_hinge(s, teacher()).sum(), &at, [2, 3]);
        assert_gradient(|s| rank_plackett_luce(s, teacher()).sum(), &at, [2, 3]);
    }
}
