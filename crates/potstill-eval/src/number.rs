//! Numbers as people read them, and as JSON holds them.

/// What stands where there is no number.
pub(crate) const NONE: &str = "–";

/// `0.973` as `97.3`.
pub(crate) fn percent(share: f64) -> String {
    finite_or(share, |share| format!("{:.1}", 100.0 * share))
}

/// Three significant digits, and thousands apart.
pub(crate) fn significant(value: f64) -> String {
    finite_or(value, |value| {
        let size = value.abs();
        if size == 0.0 {
            "0".into()
        } else if !(1e-4..1e9).contains(&size) {
            format!("{value:.2e}")
        } else if size >= 999.5 {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", thousands(size.round() as u64))
        } else {
            let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
            let rounded = format!("{value:.decimals$}");
            // 9.996 has two decimals to show, but rounds to 10.00.
            let digits = rounded
                .chars()
                .filter(char::is_ascii_digit)
                .skip_while(|c| *c == '0');
            if decimals > 0 && digits.count() > 3 {
                rounded[..rounded.len() - 1].trim_end_matches('.').into()
            } else {
                rounded
            }
        }
    })
}

/// `p = 0.0312`; `p ≤ 0.0001` for a `bound`, of which is only known that it is no larger.
pub(crate) fn p_value(p: f64, bound: bool) -> String {
    const SMALLEST: f64 = 1e-4;
    if bound {
        // A bound that is rounded down is none; what multiplication adds is no reason to round up.
        let above = (p / SMALLEST - 1e-6).ceil() * SMALLEST;
        format!("p ≤ {:.4}", above.clamp(SMALLEST, 1.0))
    } else if p < SMALLEST {
        format!("p < {SMALLEST}")
    } else {
        format!("p = {p:.4}")
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn finite_or(value: f64, finite: impl FnOnce(f64) -> String) -> String {
    if value.is_finite() {
        finite(value)
    } else if value.is_nan() {
        NONE.into()
    } else {
        (if value > 0.0 { "∞" } else { "-∞" }).into()
    }
}

/// Finite numbers as they are, the others as `"NaN"`, `"inf"` and `"-inf"`, for which JSON has no
/// notation; `null` is read as NaN, since other writers use it.
pub(crate) mod any_float {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Notation {
        Number(f64),
        Name(String),
        Null,
    }

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else {
            serializer.serialize_str(&value.to_string())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Notation::deserialize(deserializer)? {
            Notation::Number(value) => Ok(value),
            Notation::Null => Ok(f64::NAN),
            Notation::Name(name) => name
                .parse()
                .map_err(|_| D::Error::custom(format_args!("{name:?} is not a number"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_significant() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.999_96, "1.00"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (99.96, "100"),
            (12.345, "12.3"),
            (123.45, "123"),
            (999.4, "999"),
            (999.7, "1,000"),
            (-1234.5, "-1,235"),
            (1_234_567.0, "1,234,567"),
            (0.000_012_3, "1.23e-5"),
            (f64::NAN, "–"),
            (f64::INFINITY, "∞"),
            (f64::NEG_INFINITY, "-∞"),
        ] {
            assert_eq!(significant(value), text, "{value}");
        }
    }

    #[test]
    fn thousands_are_apart() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(thousands(value), text);
        }
    }

    #[test]
    fn a_p_value_is_never_shown_smaller_than_it_is() {
        for (p, bound, text) in [
            (1.0, false, "p = 1.0000"),
            (0.031_25, false, "p = 0.0312"),
            (0.000_1, false, "p = 0.0001"),
            (0.000_02, false, "p < 0.0001"),
            (1.0 / 10_001.0, true, "p ≤ 0.0001"),
            (3.0 / 10_001.0, true, "p ≤ 0.0003"),
            (3.0 / 10_000.0, true, "p ≤ 0.0003"),
            (0.000_31, true, "p ≤ 0.0004"),
            (1e-9, true, "p ≤ 0.0001"),
            (1.0, true, "p ≤ 1.0000"),
        ] {
            assert_eq!(p_value(p, bound), text, "{p}");
        }
    }

    #[test]
    fn a_share_is_a_percentage_with_one_decimal() {
        assert_eq!(percent(0.9734), "97.3");
        assert_eq!(percent(f64::NAN), "–");
    }
}
