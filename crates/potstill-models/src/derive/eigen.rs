//! Eigenvalues of small matrices.

use rayon::prelude::*;

/// Sweeps after which the result is taken as it is; ten are usual.
const MOST_SWEEPS: usize = 40;

/// Rows that are orthogonal to this are orthogonal.
const TOLERANCE: f64 = 1e-12;

/// Eigenvalues, descending, and eigenvectors of a symmetric matrix without negative eigenvalues.
///
/// Hestenes' one-sided Jacobi method: pairs of rows are rotated until all are orthogonal; their
/// lengths are the eigenvalues and the rotations the eigenvectors. The pairs of a round have no row
/// in common and run in parallel.
pub(super) fn symmetric_eigen(matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let d = matrix.len();
    let scale = length(&matrix.concat());
    let mut rows: Vec<Row> = matrix
        .into_iter()
        .enumerate()
        .map(|(i, values)| {
            let mut vector = vec![0.0; d];
            vector[i] = 1.0;
            Row { values, vector }
        })
        .collect();
    // An even number of rows can be paired; a row of zeros is orthogonal to all.
    if d % 2 == 1 {
        rows.push(Row {
            values: vec![0.0; d],
            vector: vec![0.0; d],
        });
    }
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for _ in 1..rows.len() {
            let middle = rows.len() / 2;
            let (first, second) = rows.split_at_mut(middle);
            let pairs = first.par_iter_mut().zip(second.par_iter_mut().rev());
            rotated |= pairs
                .map(|(x, y)| x.orthogonalize(y, f64::EPSILON * scale))
                .reduce(|| false, |a, b| a | b);
            // Round robin: the first stays, the others move on by one.
            rows[1..].rotate_right(1);
        }
        if !rotated {
            break;
        }
    }
    rows.sort_by(|a, b| length(&b.values).total_cmp(&length(&a.values)));
    rows.truncate(d);
    rows.into_iter()
        .map(|row| (length(&row.values), row.vector))
        .unzip()
}

struct Row {
    values: Vec<f64>,
    vector: Vec<f64>,
}

impl Row {
    /// Rotates two rows so that they are orthogonal; whether they were not.
    fn orthogonalize(&mut self, other: &mut Self, negligible: f64) -> bool {
        let (a, b) = (length(&self.values), length(&other.values));
        let product = dot(&self.values, &other.values);
        if a.min(b) <= negligible || product.abs() <= TOLERANCE * a * b {
            return false;
        }
        let zeta = (b * b - a * a) / (2.0 * product);
        let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
        let cosine = tangent.hypot(1.0).recip();
        let sine = cosine * tangent;
        for (x, y) in [
            (&mut self.values, &mut other.values),
            (&mut self.vector, &mut other.vector),
        ] {
            for (x, y) in x.iter_mut().zip(y) {
                (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
            }
        }
        true
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_matrix_of_two_has_the_values_of_the_textbook() {
        let (values, vectors) = symmetric_eigen(vec![vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((values[0] - 3.0).abs() < 1e-12 && (values[1] - 1.0).abs() < 1e-12);
        assert!((vectors[0][0].abs() - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(symmetric_eigen(vec![vec![0.0; 3]; 3]).0, [0.0; 3]);
    }

    proptest! {
        #[test]
        fn vectors_are_orthonormal_and_rebuild_the_matrix(
            d in 1..9usize,
            entries in proptest::collection::vec(-2.0..2.0f64, 64),
        ) {
            let factor: Vec<&[f64]> = entries.chunks(8).take(d).collect();
            let matrix: Vec<Vec<f64>> =
                factor.iter().map(|x| factor.iter().map(|y| dot(x, y)).collect()).collect();
            let (values, vectors) = symmetric_eigen(matrix.clone());
            prop_assert!(values.is_sorted_by(|a, b| a >= b));
            for i in 0..d {
                for j in 0..d {
                    let rebuilt: f64 = (0..d).map(|k| values[k] * vectors[k][i] * vectors[k][j]).sum();
                    prop_assert!((rebuilt - matrix[i][j]).abs() < 1e-9);
                    let expected = f64::from(u8::from(i == j));
                    prop_assert!((dot(&vectors[i], &vectors[j]) - expected).abs() < 1e-9);
                }
            }
        }
    }
}
