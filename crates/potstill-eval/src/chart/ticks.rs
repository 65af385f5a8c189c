//! Round numbers along an axis.

use crate::number::thousands;

/// Multiples of 1, 2 or 5 times a power of ten, at most about `most` of them, from `low` to `high`.
pub(super) fn linear(low: f64, high: f64, most: usize) -> Vec<f64> {
    let rough = (high - low) / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    // Dividing where that is exact keeps 0.3 from becoming 0.30000000000000004.
    let inverse = (1.0 / step).round();
    let at = |n: i64| {
        if step < 1.0 {
            n as f64 / inverse
        } else {
            n as f64 * step
        }
    };
    (first..=last).map(at).collect()
}

/// 1, 2 and 5 times each power of ten from `low` to `high`; only the powers where those would crowd.
pub(super) fn logarithmic(low: f64, high: f64, most: usize) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let inside = |factors: &'static [f64]| -> Vec<f64> {
        let ticks = decades
            .clone()
            .flat_map(|power| factors.iter().map(move |f| (f, power)));
        ticks
            .map(|(factor, power)| format!("{factor}e{power}").parse().unwrap_or(f64::NAN))
            .filter(|tick| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(tick))
            .collect()
    };
    let dense = inside(&[1.0, 2.0, 5.0]);
    if dense.len() <= most {
        return dense;
    }
    let powers = inside(&[1.0]);
    let every = powers.len().div_ceil(most).max(1);
    powers.into_iter().step_by(every).collect()
}

/// A tick as text: no more digits than it has.
pub(super) fn label(tick: f64) -> String {
    if tick != 0.0 && !(1e-4..1e6).contains(&tick.abs()) {
        format!("{tick:e}")
    } else if tick >= 1000.0 {
        thousands(tick.round() as u64)
    } else {
        format!("{tick}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(linear(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(linear(0.13, 0.42, 5), [0.2, 0.3, 0.4]);
        assert_eq!(
            linear(0.0, 3000.0, 6),
            [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0]
        );
        assert_eq!(linear(-3.0, 3.0, 3), [-2.0, 0.0, 2.0]);
    }

    #[test]
    fn logarithmic_ticks_thin_out() {
        assert_eq!(logarithmic(0.04, 3.0, 7), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(
            logarithmic(1e-4, 10.0, 7),
            [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]
        );
        assert!(logarithmic(1e-30, 1e30, 7).len() <= 7);
    }

    #[test]
    fn labels_have_the_digits_they_need() {
        for (tick, text) in [
            (0.0, "0"),
            (0.3, "0.3"),
            (500.0, "500"),
            (10_000.0, "10,000"),
            (1e-7, "1e-7"),
            (2e6, "2e6"),
        ] {
            assert_eq!(label(tick), text);
        }
    }
}
