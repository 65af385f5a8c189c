//! Passes over the logits of a whole vocabulary, in f32.
//!
//! Logits that are not finite count as −∞.

/// Sums that are kept apart, so that they fit vector registers.
const LANES: usize = 16;

/// Logits whose exponentials are summed in f32, before the sum becomes f64.
const RUN: usize = 1024;

/// The largest logit, its first token, and `ln Σ exp(logit)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Likeliest {
    pub(super) token: u32,
    pub(super) logit: f32,
    pub(crate) normalizer: f64,
}

impl Likeliest {
    /// `None` if no logit is finite.
    pub(crate) fn of(logits: &[f32]) -> Option<Self> {
        let logit = largest(logits);
        if logit == f32::NEG_INFINITY {
            return None;
        }
        let place = logits.iter().position(|&other| other == logit)?;
        let total: f64 = logits
            .chunks(RUN)
            .map(|run| f64::from(sum_of_exponentials(run, logit, 1.0)))
            .sum();
        Some(Self {
            token: u32::try_from(place).expect("a vocabulary has less than 2^32 tokens"),
            logit,
            normalizer: f64::from(logit) + total.ln(),
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "log-probabilities are f32 everywhere"
    )]
    pub(super) fn log_prob(self, logit: f32) -> f32 {
        (f64::from(logit) - self.normalizer) as f32
    }
}

/// The token before which the share `left` of `Σ exp((logit − largest) / temperature)` lies.
pub(super) fn draw(logits: &[f32], largest: f32, temperature: f32, left: f64) -> Option<u32> {
    let slope = temperature.recip();
    let runs: Vec<f64> = logits
        .chunks(RUN)
        .map(|run| f64::from(sum_of_exponentials(run, largest, slope)))
        .collect();
    let mut left = left * runs.iter().sum::<f64>();
    let mut last = None;
    for (index, (run, sum)) in logits.chunks(RUN).zip(&runs).enumerate() {
        if left >= *sum && index + 1 < runs.len() {
            left -= sum;
            continue;
        }
        for (token, &logit) in (index * RUN..).zip(run) {
            if logit.is_finite() {
                last = Some(token);
                left -= f64::from(exp((logit - largest) * slope));
                if left < 0.0 {
                    return u32::try_from(token).ok();
                }
            }
        }
    }
    // Rounding can leave a rest behind the last token.
    let last = last.or_else(|| logits.iter().rposition(|logit| logit.is_finite()));
    last.and_then(|token| u32::try_from(token).ok())
}

fn largest(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, counted(logit));
        }
    }
    let rest = rest.iter().map(|&logit| counted(logit));
    lanes
        .into_iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, larger)
}

/// `Σ exp(slope · (logit − largest))`.
fn sum_of_exponentials(logits: &[f32], largest: f32, slope: f32) -> f32 {
    let term = |logit: f32| exp((counted(logit) - largest) * slope);
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = logits.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane += term(logit);
        }
    }
    let rest: f32 = rest.iter().map(|&logit| term(logit)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Not `f32::max`, which takes care of NaN and vectorizes worse.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

fn counted(logit: f32) -> f32 {
    if logit.abs() <= f32::MAX {
        logit
    } else {
        f32::NEG_INFINITY
    }
}

/// `e^x` for `x ≤ 0`, to about 2 units in the last place; below the smallest normal number it stays
/// there. Made of what every processor has vector instructions for.
///
/// ```text
/// n = round(x / ln 2)     r = x − n · ln 2     e^x = 2^n · e^r      with |r| ≤ ln 2 / 2
/// ```
///
/// `e^r` is a polynomial of degree 6 (minimax coefficients of Cephes' `expf`).
fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few bits, so that its product with n is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = larger(-87.33, x);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * (r * r) + (r + 1.0);
    f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_accurate_where_it_is_used() {
        assert_eq!(exp(0.0), 1.0);
        for i in 0..873_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "{x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1.3e-38);
    }

    #[test]
    fn the_first_of_the_largest_is_found_anywhere() {
        for place in [0, 1, 15, 16, 17, 1023, 1024, 2046] {
            let mut logits = vec![0.5; 2048];
            logits[place] = 0.75;
            logits[2047] = 0.75;
            let found = Likeliest::of(&logits).unwrap();
            assert_eq!((found.token as usize, found.logit), (place, 0.75));
        }
    }

    #[test]
    fn the_normalizer_is_that_of_the_finite_logits() {
        let mut logits: Vec<f32> = (0..5000)
            .map(|i| (i * 7919 % 1000) as f32 * 0.02 - 30.0)
            .collect();
        let check = |logits: &[f32]| {
            let finite = logits.iter().filter(|logit| logit.is_finite());
            let exact: f64 = finite.map(|&logit| f64::from(logit).exp()).sum();
            let found = Likeliest::of(logits).unwrap().normalizer;
            assert!((found - exact.ln()).abs() < 1e-6, "{found} {}", exact.ln());
        };
        check(&logits);
        logits[100] = f32::NAN;
        logits[200] = f32::INFINITY;
        logits[4999] = f32::NEG_INFINITY;
        check(&logits);
        check(&logits[90..101]);
    }

    #[test]
    fn a_lone_logit_is_certain_however_large() {
        for logit in [f32::MAX, f32::MIN, 0.0] {
            let logits = [f32::NEG_INFINITY, logit];
            let found = Likeliest::of(&logits).unwrap();
            assert_eq!(found.normalizer, f64::from(logit));
            assert_eq!(draw(&logits, logit, 1.0, 0.999_999), Some(1));
        }
        assert_eq!(Likeliest::of(&[f32::NAN, f32::NEG_INFINITY]), None);
        assert_eq!(Likeliest::of(&[]), None);
    }

    #[test]
    fn a_share_of_the_mass_is_drawn_by_the_token_that_holds_it() {
        let mut logits: Vec<f32> = (0..3000).map(|i| (i % 17) as f32 * 0.3).collect();
        logits[2999] = f32::NEG_INFINITY;
        logits[10] = f32::NAN;
        let temperature = 0.7;
        let weight = |logit: f32| f64::from(logit / temperature).exp();
        let finite = || (0..).zip(&logits).filter(|(_, logit)| logit.is_finite());
        let total: f64 = finite().map(|(_, &logit)| weight(logit)).sum();
        let mut before = 0.0;
        for (token, &logit) in finite() {
            let middle = (before + weight(logit) / 2.0) / total;
            assert_eq!(draw(&logits, 4.8, temperature, middle), Some(token));
            before += weight(logit);
        }
        assert_eq!(draw(&logits, 4.8, temperature, 1.0), Some(2998));
    }
}
