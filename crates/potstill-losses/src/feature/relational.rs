//! Relations between the examples of a batch (RKD).
//!
//! ```text
//! distance   d_ij = ‖x_i − x_j‖ / mean of all i ≠ j        L = mean_ij huber(d_ij(s) − d_ij(t))
//! angle      a_ijk = cos ∠(x_j − x_i, x_k − x_i)           L = mean_ijk huber(a_ijk(s) − a_ijk(t))
//! ```
//!
//! with `huber(x) = x²/2` up to 1 and `|x| − ½` beyond; the means are over all N² or N³ entries, the
//! zeros of the diagonal included. Park et al., *Relational Knowledge Distillation*,
//! arXiv:1904.05068, who weigh distances 25 and angles 50.

use burn::prelude::*;
use potstill_kernels::log_space::at_least_f32;

use super::hidden::normalized;

/// Difference of normalized pairwise distances; O(n² d) memory.
///
/// # Shapes
///
/// - `student`: `[n, d_student]`
/// - `teacher`: `[n, d_teacher]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the number of examples differs or is below 2.
#[must_use]
pub fn rkd_distance(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    check_examples(&student, &teacher);
    huber(normalized_distances(student) - normalized_distances(teacher)).mean()
}

/// Difference of the angles of all triplets; O(n² d + n³) memory.
///
/// # Shapes
///
/// - `student`: `[n, d_student]`
/// - `teacher`: `[n, d_teacher]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the number of examples differs or is below 2.
#[must_use]
pub fn rkd_angle(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    check_examples(&student, &teacher);
    let cosines = |x: Tensor<2>| {
        let directions = normalized(differences(x));
        directions.clone().matmul(directions.transpose())
    };
    huber(cosines(student) - cosines(teacher)).mean()
}

fn check_examples(student: &Tensor<2>, teacher: &Tensor<2>) {
    let ([n, _], [of_teacher, _]) = (student.dims(), teacher.dims());
    assert!(
        n == of_teacher && n > 1,
        "relations need the same examples, at least 2: {n} and {of_teacher}"
    );
}

/// `x_j − x_i`, `[n, n, d]`.
fn differences(x: Tensor<2>) -> Tensor<3> {
    let x = at_least_f32(x);
    x.clone().unsqueeze_dim::<3>(0) - x.unsqueeze_dim::<3>(1)
}

fn normalized_distances(x: Tensor<2>) -> Tensor<2> {
    let [n, _] = x.dims();
    // The root has no derivative at 0, where the diagonal is.
    let squares = differences(x)
        .square()
        .sum_dim(2)
        .squeeze_dim::<2>(2)
        .clamp_min(1e-12);
    let off_diagonal = -Tensor::<2>::eye(n, &squares.device()).cast(squares.dtype()) + 1.0;
    let distances = squares.sqrt() * off_diagonal;
    let mean = distances.clone().sum() * ((n * (n - 1)) as f64).recip();
    distances / mean.unsqueeze::<2>()
}

fn huber<const D: usize>(difference: Tensor<D>) -> Tensor<D> {
    let size = difference.abs();
    let capped = size.clone().clamp_max(1.0);
    capped.clone() * (size - capped * 0.5)
}
