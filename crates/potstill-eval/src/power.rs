//! What a number of items can and cannot show.

use statrs::distribution::{ContinuousCDF, Normal};

/// The smallest true difference that a two-sided test at level `alpha` finds with probability `power`,
/// given the standard error of the difference.
///
/// ```text
/// (z_{1−α/2} + z_{power}) · SE
/// ```
///
/// A comparison that found nothing says only that the difference is likely smaller than this.
/// Miller, *Adding Error Bars to Evals*, 2024, arXiv:2411.00640, section 5.
///
/// # Panics
///
/// Panics if `alpha` or `power` is not between 0 and 1.
#[must_use]
pub fn smallest_detectable_effect(standard_error: f64, alpha: f64, power: f64) -> f64 {
    (z(1.0 - alpha / 2.0) + z(power)) * standard_error
}

/// How many items it takes to find a difference of `effect` with probability `power`, when the
/// differences of single items have the standard deviation `deviation`.
///
/// # Panics
///
/// Panics if `alpha` or `power` is not between 0 and 1, or `effect` not positive.
#[must_use]
pub fn items_needed(effect: f64, deviation: f64, alpha: f64, power: f64) -> usize {
    assert!(
        effect > 0.0,
        "an effect to be found is positive, not {effect}"
    );
    let ratio = smallest_detectable_effect(deviation, alpha, power) / effect;
    (ratio * ratio).ceil() as usize
}

/// Quantile of the standard normal distribution.
fn z(probability: f64) -> f64 {
    assert!(
        probability > 0.0 && probability < 1.0,
        "alpha and power lie between 0 and 1"
    );
    Normal::standard().inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_times_the_items_find_half_the_effect() {
        let items = items_needed(0.03, 0.4, 0.05, 0.8);
        let quarter = items_needed(0.06, 0.4, 0.05, 0.8);
        assert!(items.abs_diff(4 * quarter) < 4, "{items} {quarter}");
        let error = 0.4 / (items as f64).sqrt();
        let found = smallest_detectable_effect(error, 0.05, 0.8);
        assert!((found - 0.03).abs() < 1e-4, "{found}");
    }
}
