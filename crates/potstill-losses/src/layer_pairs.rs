//! Which layer of the student learns from which of the teacher.
//!
//! Pairs are data: any list of (student, teacher) will do, these are the usual ones. Hidden states are
//! numbered as [`Taps`](potstill_core::Taps) has them, 0 for the embeddings; attention maps from 0.
//!
//! These count layers and know nothing of where they came from. A student cut from its teacher should
//! learn from the layers it was given: take the pairs of the layer map that comes with it.

use crate::Error;
use crate::error::check;

/// Every layer of the student, spread evenly over the teacher: student `i` learns from teacher
/// `i · n_teacher / n_student`, rounded down, from 1 to the last.
///
/// TinyBERT's map, and PKD-Skip's. Jiao et al., arXiv:1909.10351; Sun et al., arXiv:1908.09355.
///
/// # Errors
///
/// When the student has no layer or more layers than the teacher.
pub fn uniform_layers(n_student: usize, n_teacher: usize) -> Result<Vec<(usize, usize)>, Error> {
    check_depths(n_student, n_teacher)?;
    Ok((1..=n_student)
        .map(|student| (student, student * n_teacher / n_student))
        .collect())
}

/// The last `k` layers of the student from the last `k` of the teacher (PKD-Last).
///
/// # Errors
///
/// When `k` is 0 or more than the student has layers, or the student has more than the teacher.
pub fn last_layers(
    k: usize,
    n_student: usize,
    n_teacher: usize,
) -> Result<Vec<(usize, usize)>, Error> {
    check_depths(n_student, n_teacher)?;
    let expected = "at least 1 and no more than the student's layers";
    check("k", k as f64, (1..=n_student).contains(&k), expected)?;
    Ok((0..k)
        .rev()
        .map(|back| (n_student - back, n_teacher - back))
        .collect())
}

fn check_depths(n_student: usize, n_teacher: usize) -> Result<(), Error> {
    let expected = "at least 1 and no more than the teacher's layers";
    check(
        "n_student",
        n_student as f64,
        (1..=n_teacher).contains(&n_student),
        expected,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_pairs_end_with_the_last_layers() {
        assert_eq!(
            uniform_layers(4, 12).unwrap(),
            [(1, 3), (2, 6), (3, 9), (4, 12)]
        );
        assert_eq!(
            uniform_layers(4, 10).unwrap(),
            [(1, 2), (2, 5), (3, 7), (4, 10)]
        );
        assert_eq!(uniform_layers(2, 2).unwrap(), [(1, 1), (2, 2)]);
    }

    #[test]
    fn last_pairs_count_from_the_end() {
        assert_eq!(last_layers(2, 4, 12).unwrap(), [(3, 11), (4, 12)]);
    }

    #[test]
    fn impossible_depths_are_refused() {
        let error = uniform_layers(5, 4).unwrap_err().to_string();
        assert_eq!(
            error,
            "n_student is 5, it must be at least 1 and no more than the teacher's layers"
        );
        assert!(uniform_layers(0, 4).is_err());
        assert!(last_layers(5, 4, 12).is_err());
        assert!(last_layers(0, 4, 12).is_err());
    }
}
