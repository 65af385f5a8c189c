//! Many p-values at once.

/// The p-values, adjusted so that comparing each with α keeps the chance of even one false alarm
/// below α, whatever depends on what.
///
/// ```text
/// p̃₍ᵢ₎ = max_{j ≤ i} min(1, (m − j + 1) · p₍ⱼ₎)
/// ```
///
/// For decisions. Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian
/// Journal of Statistics 6 (1979).
///
/// # Panics
///
/// Panics if a value is not in `[0, 1]`.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &place) in order.iter().enumerate() {
        let scaled = (p_values.len() - rank) as f64 * p_values[place];
        largest = largest.max(scaled.min(1.0));
        adjusted[place] = largest;
    }
    adjusted
}

/// The p-values, adjusted so that among those below α a share of α is expected to be false alarms.
///
/// ```text
/// p̃₍ᵢ₎ = min_{j ≥ i} min(1, m/j · p₍ⱼ₎)
/// ```
///
/// For reading tables. Benjamini and Hochberg, *Controlling the False Discovery Rate*, Journal of the
/// Royal Statistical Society B 57 (1995).
///
/// # Panics
///
/// Panics if a value is not in `[0, 1]`.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let order = ascending(p_values);
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, &place) in order.iter().enumerate().rev() {
        let scaled = p_values.len() as f64 / (rank + 1) as f64 * p_values[place];
        smallest = smallest.min(scaled);
        adjusted[place] = smallest;
    }
    adjusted
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    for p in p_values {
        assert!(
            (0.0..=1.0).contains(p),
            "a p-value is between 0 and 1, not {p}"
        );
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_p_value_stays_as_it_is() {
        assert_eq!(holm(&[0.03]), [0.03]);
        assert_eq!(benjamini_hochberg(&[0.03]), [0.03]);
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "a p-value is between 0 and 1, not NaN")]
    fn a_p_value_that_is_none_is_a_bug() {
        let _ = holm(&[0.5, f64::NAN]);
    }

    proptest! {
        #[test]
        fn holm_is_never_milder_than_benjamini_hochberg(p in prop::collection::vec(0.0f64..=1.0, 1..40)) {
            let (strict, mild) = (holm(&p), benjamini_hochberg(&p));
            for n in 0..p.len() {
                prop_assert!(p[n] <= mild[n] + 1e-15 && mild[n] <= strict[n] + 1e-15 && strict[n] <= 1.0);
            }
        }
    }
}
