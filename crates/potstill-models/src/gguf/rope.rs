//! Scaling of rotary frequencies, from metadata or from `rope_freqs.weight`.
//!
//! llama.cpp stores no parameters for Llama 3 (arXiv:2407.21783); it stores the factor that divides
//! each frequency. The rule behind the factors, with wavelength `w` of a frequency, is
//!
//! ```text
//! factor(w) = 1                                       w < original / high
//!             F                                       w > original / low
//!             1 / ((1 − s) / F + s)                   between,  s = (original / w − low) / (high − low)
//! ```
//!
//! so `s` is linear in `1 / w`, and a line through the factors between the two ends gives `high` and
//! `original` up to a common scale, which `low = 1` (as in every published model) fixes. The
//! recovered parameters are only accepted if they reproduce every stored factor.

use std::f64::consts::TAU;

use super::{GgufFile, GgufProblem};
use crate::{Error, Rope, RopeScaling};

/// The tensor with a factor for each rotary frequency.
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// Largest relative error of a reproduced factor: they are stored in f32.
const TOLERANCE: f64 = 1e-3;

/// The factor that divides each frequency, as [`FACTORS`] holds them.
#[expect(clippy::cast_possible_truncation, reason = "files hold f32")]
pub(super) fn factors(rope: &Rope, head_dim: usize) -> Vec<f32> {
    let plain = Rope {
        theta: rope.theta,
        scaling: None,
    };
    let scaled = rope.frequencies(head_dim);
    let pairs = plain.frequencies(head_dim).into_iter().zip(scaled);
    pairs
        .map(|(plain, scaled)| (plain / scaled) as f32)
        .collect()
}

/// How the file changes the rotary frequencies, if at all.
pub(super) fn scaling(file: &GgufFile, head_dim: usize) -> Result<Option<RopeScaling>, Error> {
    if let Some(info) = file.tensors.get(FACTORS) {
        let factors = file.read_stored(info)?;
        return recover(&factors, file.rope_base()?, head_dim)
            .map_err(|reason| file.error(GgufProblem::RopeFactors { reason }));
    }
    let key = file.model_key("rope.scaling.type")?;
    let factor = match file.metadata(&key) {
        None => file.optional_number("rope.scale_linear")?,
        Some(kind) if kind.as_str() == Some("none") => None,
        Some(kind) if kind.as_str() == Some("linear") => {
            file.optional_number("rope.scaling.factor")?
        }
        Some(kind) => return Err(file.wrong_type(&key, kind, "\"none\" or \"linear\"")),
    };
    let changed = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
    Ok(changed.map(|factor| RopeScaling::Linear { factor }))
}

/// The rule behind `factors`, `None` if they change nothing.
fn recover(factors: &[f32], theta: f64, head_dim: usize) -> Result<Option<RopeScaling>, String> {
    if factors.len() * 2 != head_dim {
        return Err(format!(
            "{} factors for heads of width {head_dim}",
            factors.len()
        ));
    }
    let factors: Vec<f64> = factors.iter().map(|&factor| f64::from(factor)).collect();
    if let Some(bad) = factors
        .iter()
        .find(|factor| !(factor.is_finite() && **factor >= 1.0))
    {
        return Err(format!("a factor is {bad}, less than 1"));
    }
    let largest = factors.iter().copied().fold(1.0, f64::max);
    if largest == 1.0 {
        return Ok(None);
    }
    let mut closest = (0, f64::INFINITY);
    for (high_freq_factor, original) in candidates(&factors, theta, head_dim) {
        let scaling = RopeScaling::Llama3 {
            factor: largest,
            low_freq_factor: 1.0,
            high_freq_factor,
            original_max_positions: original as usize,
        };
        let (i, error) = largest_error(&factors, theta, head_dim, &scaling);
        if error <= TOLERANCE {
            return Ok(Some(scaling));
        }
        if error < closest.1 {
            closest = (i, error);
        }
    }
    let (i, error) = closest;
    Err(format!(
        "factor {i} is {}, {:.1} % away from the closest rule",
        factors[i],
        100.0 * error
    ))
}

/// Values of `high` and `original` that could be behind the factors, for `low = 1`.
fn candidates(factors: &[f64], theta: f64, head_dim: usize) -> Vec<(f64, f64)> {
    let largest = factors.iter().copied().fold(1.0, f64::max);
    let inverse_wavelengths = Rope {
        theta,
        scaling: None,
    }
    .frequencies(head_dim);
    let inverse_wavelengths = inverse_wavelengths.iter().map(|frequency| frequency / TAU);
    let mut between = Vec::new();
    let (mut shortest_scaled, mut longest_kept) = (0.0, f64::INFINITY);
    for (&factor, x) in factors.iter().zip(inverse_wavelengths) {
        if factor >= largest * (1.0 - TOLERANCE) {
            shortest_scaled = x.max(shortest_scaled);
        } else if factor <= 1.0 + TOLERANCE {
            longest_kept = x.min(longest_kept);
        } else {
            between.push((x, (1.0 / factor - 1.0 / largest) / (1.0 - 1.0 / largest)));
        }
    }
    match between.as_slice() {
        // Any rule with its ends in the gap does.
        [] => {
            let original = (1.0 / shortest_scaled).floor();
            vec![(4.0, 8192.0), (longest_kept * original, original)]
        }
        // One equation for two unknowns: `high = 4`, as in every published model.
        [(x, s)] => vec![(4.0, ((3.0 * s + 1.0) / x).round())],
        [first, .., last] => {
            let slope = (first.1 - last.1) / (first.0 - last.0);
            let offset = first.1 - slope * first.0;
            // offset = −low / (high − low) and slope = original / (high − low).
            let span = -1.0 / offset;
            let (high, original) = (1.0 + span, (slope * span).round());
            // Published parameters are whole numbers.
            vec![(high.round(), original), (high, original)]
        }
    }
}

/// The factor that `scaling` reproduces worst, and its relative error.
fn largest_error(
    factors: &[f64],
    theta: f64,
    head_dim: usize,
    scaling: &RopeScaling,
) -> (usize, f64) {
    let plain = Rope {
        theta,
        scaling: None,
    }
    .frequencies(head_dim);
    let scaled = Rope {
        theta,
        scaling: Some(scaling.clone()),
    }
    .frequencies(head_dim);
    let errors = plain
        .iter()
        .zip(scaled)
        .zip(factors)
        .map(|((plain, scaled), factor)| (plain / scaled / factor - 1.0).abs());
    errors
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama3(factor: f64, low: f64, high: f64, original: usize) -> RopeScaling {
        RopeScaling::Llama3 {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_positions: original,
        }
    }

    fn stored(scaling: &RopeScaling, theta: f64, head_dim: usize) -> Vec<f32> {
        let scaling = Some(scaling.clone());
        factors(&Rope { theta, scaling }, head_dim)
    }

    #[test]
    fn the_rule_of_published_models_is_recovered() {
        for (factor, original, head_dim) in [(8.0, 8192, 128), (32.0, 8192, 64), (8.0, 32, 32)] {
            let rule = llama3(factor, 1.0, 4.0, original);
            let factors = stored(&rule, 500_000.0, head_dim);
            assert_eq!(recover(&factors, 500_000.0, head_dim), Ok(Some(rule)));
        }
    }

    #[test]
    fn the_factors_of_narrow_heads_are_reproduced() {
        for (original, head_dim) in [(32, 4), (32, 8), (32, 16), (512, 8), (8192, 8), (8192, 16)] {
            let factors = stored(&llama3(8.0, 1.0, 4.0, original), 500_000.0, head_dim);
            let found = recover(&factors, 500_000.0, head_dim).unwrap().unwrap();
            for (found, factor) in stored(&found, 500_000.0, head_dim).iter().zip(&factors) {
                assert!(
                    (found / factor - 1.0).abs() < 1e-3,
                    "{original} {head_dim}: {factors:?}"
                );
            }
        }
    }

    #[test]
    fn another_low_frequency_factor_gives_an_equivalent_rule() {
        let factors = stored(&llama3(8.0, 2.0, 5.0, 4096), 10_000.0, 64);
        let found = recover(&factors, 10_000.0, 64).unwrap().unwrap();
        for (found, stored) in stored(&found, 10_000.0, 64).iter().zip(&factors) {
            assert!((found / stored - 1.0).abs() < 1e-3, "{found} {stored}");
        }
    }

    #[test]
    fn factors_of_one_need_no_rule() {
        assert_eq!(recover(&[1.0; 8], 10_000.0, 16), Ok(None));
    }

    #[test]
    fn other_factors_are_refused() {
        let zigzag = [1.0, 5.0, 2.0, 7.0, 1.5, 8.0, 3.0, 8.0];
        assert!(
            recover(&zigzag, 10_000.0, 16)
                .unwrap_err()
                .contains("factor")
        );
        assert!(
            recover(&[1.0; 7], 10_000.0, 16)
                .unwrap_err()
                .contains("width 16")
        );
        assert!(recover(&[f32::NAN; 8], 10_000.0, 16).is_err());
        assert!(recover(&[0.0; 8], 10_000.0, 16).is_err());
    }
}
