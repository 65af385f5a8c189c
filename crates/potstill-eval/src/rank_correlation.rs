//! Whether two orders agree.

/// Spearman's ρ of two lists: the correlation of ranks, equal values sharing a rank.
///
/// `None` where it is undefined: fewer than two values, a list of one value alone, or a NaN.
///
/// # Panics
///
/// Panics if the lists differ in length.
#[must_use]
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a)?, ranks(b)?);
    assert_eq!(a.len(), b.len(), "both lists are about the same items");
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        both += (a - mean) * (b - mean);
        of_a += (a - mean).powi(2);
        of_b += (b - mean).powi(2);
    }
    (of_a > 0.0 && of_b > 0.0).then(|| both / (of_a * of_b).sqrt())
}

/// Kendall's τ-b of two lists:
///
/// ```text
/// (concordant − discordant pairs) / √((n₀ − ties in a) · (n₀ − ties in b)),   n₀ = n(n − 1)/2
/// ```
///
/// `None` where it is undefined, as for [`spearman`]. Takes time with the square of the length.
///
/// # Panics
///
/// Panics if the lists differ in length.
#[must_use]
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "both lists are about the same items");
    let (mut agreement, mut apart_in_a, mut apart_in_b) = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            let order = |list: &[f64]| match list[i].partial_cmp(&list[j])? {
                std::cmp::Ordering::Less => Some(-1.0),
                std::cmp::Ordering::Equal => Some(0.0),
                std::cmp::Ordering::Greater => Some(1.0),
            };
            let (a, b): (f64, f64) = (order(a)?, order(b)?);
            agreement += a * b;
            apart_in_a += a.abs();
            apart_in_b += b.abs();
        }
    }
    let size = f64::sqrt(apart_in_a * apart_in_b);
    (size > 0.0).then(|| agreement / size)
}

/// From 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &place in equal {
            ranks[place] = rank;
        }
        before += equal.len();
    }
    Some(ranks)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// `scipy.stats.spearmanr` and `kendalltau`, written by `rank_correlation.py` beside it.
    const RECORDED: &str = include_str!("../tests/fixtures/rank_correlation.json");

    #[derive(Deserialize)]
    struct Case {
        a: Vec<f64>,
        b: Vec<f64>,
        spearman: f64,
        kendall: f64,
    }

    #[test]
    fn both_agree_with_scipy() {
        let cases: Vec<Case> = serde_json::from_str(RECORDED).unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let (rho, tau) = (spearman(&case.a, &case.b), kendall(&case.a, &case.b));
            assert!((rho.unwrap() - case.spearman).abs() < 1e-12, "{rho:?}");
            assert!((tau.unwrap() - case.kendall).abs() < 1e-12, "{tau:?}");
        }
    }

    #[test]
    fn without_an_order_there_is_no_correlation() {
        for (a, b) in [
            (vec![], vec![]),
            (vec![1.0], vec![2.0]),
            (vec![1.0, 1.0], vec![1.0, 2.0]),
            (vec![1.0, f64::NAN], vec![1.0, 2.0]),
        ] {
            assert_eq!((spearman(&a, &b), kendall(&a, &b)), (None, None));
        }
    }
}
