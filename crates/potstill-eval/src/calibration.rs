//! Whether a model is right as often as it says.

use serde::{Deserialize, Serialize};

use crate::{Error, Interval, Proportion};

/// Bins of [`Calibration::new`].
const BINS: usize = 15;

/// How well confidence foretells correctness.
///
/// ```text
/// ECE   = Σ_b n_b/N · |accuracy_b − confidence_b|     over B bins (i/B, (i+1)/B] of confidence
/// MCE   = max_b       |accuracy_b − confidence_b|
/// Brier = 1/N · Σ_i (confidence_i − correct_i)²
/// ```
///
/// The confidence is the probability that the model gave its own answer: of the chosen option, of the
/// likeliest token. Naeini, Cooper, Hauskrecht, *Obtaining Well Calibrated Probabilities Using Bayesian
/// Binning*, AAAI 2015; Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, 2017,
/// arXiv:1706.04599; Brier, *Verification of Forecasts Expressed in Terms of Probability*, 1950.
///
/// ```
/// use potstill_eval::Calibration;
///
/// // Sure of everything, right half of the time.
/// let found = Calibration::new([(0.9, true), (0.9, false), (0.9, true), (0.9, false)])?;
/// assert!((found.expected_error - 0.4).abs() < 1e-12);
/// assert!((found.overconfidence() - 0.4).abs() < 1e-12);
/// # Ok::<(), potstill_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of answers.
    pub items: usize,
    /// Mean confidence.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Expected calibration error, ECE.
    pub expected_error: f64,
    /// The ECE that a model whose every confidence is true would show on so few answers, on average.
    ///
    /// ```text
    /// Σ_b √(2/π · Σ_{i∈b} c_i·(1 − c_i)) / N
    /// ```
    ///
    /// The ECE never falls below 0, so chance alone lifts it; only what is well above this is the
    /// model's. The sum of a bin is taken as normal, which is a little too much for bins of few answers.
    pub expected_error_by_chance: f64,
    /// Maximum calibration error, MCE: of the worst bin, however few answers it has.
    pub maximum_error: f64,
    /// Brier score: 0 for an oracle, 0.25 for who always says one half.
    pub brier: f64,
    /// Number of bins, empty ones included.
    pub n_bins: usize,
    /// The bins that hold an answer, by ascending confidence: the points of a reliability diagram.
    pub bins: Vec<ReliabilityBin>,
}

/// The answers of which a model was about equally sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Confidences are above this; the lowest bin holds 0 as well.
    pub low: f64,
    /// And at most this.
    pub high: f64,
    /// Mean confidence.
    pub confidence: f64,
    /// How many were right, of how many.
    pub correct: Proportion,
    /// Wilson's 95 % interval of the share that was right.
    pub interval: Interval,
}

impl ReliabilityBin {
    /// Mean confidence less the share that was right: positive where the model is too sure.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.confidence - self.correct.value()
    }
}

impl Calibration {
    /// The calibration of answers, each with its confidence and whether it is right, in 15 bins.
    ///
    /// # Errors
    ///
    /// When there are no answers, or a confidence is not between 0 and 1.
    pub fn new(answers: impl IntoIterator<Item = (f64, bool)>) -> Result<Self, Error> {
        Self::with_bins(answers, BINS)
    }

    /// The same in `n_bins` bins of equal width.
    ///
    /// # Errors
    ///
    /// When there are no answers, no bins, or a confidence is not between 0 and 1.
    pub fn with_bins(
        answers: impl IntoIterator<Item = (f64, bool)>,
        n_bins: usize,
    ) -> Result<Self, Error> {
        if n_bins == 0 {
            return Err(Error::Setting {
                name: "n_bins",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        let mut all = Tally::default();
        let mut tallies = vec![Tally::default(); n_bins];
        for (confidence, is_right) in answers {
            if !(0.0..=1.0).contains(&confidence) {
                return Err(Error::Setting {
                    name: "confidence",
                    value: confidence.to_string(),
                    expected: "between 0 and 1",
                });
            }
            all.add(confidence, is_right);
            tallies[bin_of(confidence, n_bins)].add(confidence, is_right);
        }
        if all.items == 0 {
            return Err(Error::Empty { what: "answer" });
        }
        let n = all.items as f64;
        let bins: Vec<ReliabilityBin> = tallies
            .iter()
            .enumerate()
            .filter(|(_, tally)| tally.items > 0)
            .map(|(bin, tally)| tally.bin(edge(bin, n_bins), edge(bin + 1, n_bins)))
            .collect();
        let weighted = |bin: &ReliabilityBin| bin.correct.total() as f64 / n * bin.gap().abs();
        let by_chance = |tally: &Tally| (std::f64::consts::FRAC_2_PI * tally.variance).sqrt() / n;
        Ok(Self {
            items: all.items,
            confidence: all.confidence / n,
            accuracy: all.right as f64 / n,
            expected_error: bins.iter().map(weighted).sum(),
            expected_error_by_chance: tallies.iter().map(by_chance).sum(),
            maximum_error: bins.iter().map(|bin| bin.gap().abs()).fold(0.0, f64::max),
            brier: all.squared_error / n,
            n_bins,
            bins,
        })
    }

    /// Mean confidence less accuracy: positive for a model that is too sure of itself.
    #[must_use]
    pub fn overconfidence(&self) -> f64 {
        self.confidence - self.accuracy
    }
}

/// Lower end of a bin.
fn edge(bin: usize, n_bins: usize) -> f64 {
    bin as f64 / n_bins as f64
}

fn bin_of(confidence: f64, n_bins: usize) -> usize {
    let guess = (confidence * n_bins as f64) as usize;
    // The product may have been rounded across an edge, and an edge belongs to the bin below it.
    (guess.saturating_sub(1)..n_bins)
        .find(|bin| confidence <= edge(bin + 1, n_bins))
        .unwrap_or(n_bins - 1)
}

/// Sums over answers.
#[derive(Clone, Default)]
struct Tally {
    items: usize,
    right: usize,
    confidence: f64,
    squared_error: f64,
    /// Of the number of right answers, if every confidence were true.
    variance: f64,
}

impl Tally {
    fn add(&mut self, confidence: f64, is_right: bool) {
        let outcome = if is_right { 1.0 } else { 0.0 };
        self.items += 1;
        self.right += usize::from(is_right);
        self.confidence += confidence;
        self.squared_error += (confidence - outcome) * (confidence - outcome);
        self.variance += confidence * (1.0 - confidence);
    }

    fn bin(&self, low: f64, high: f64) -> ReliabilityBin {
        let correct = Proportion::new(self.right, self.items);
        ReliabilityBin {
            low,
            high,
            confidence: self.confidence / self.items as f64,
            correct,
            interval: correct.wilson_95(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        for n_bins in 1..200 {
            assert_eq!(bin_of(0.0, n_bins), 0);
            for bin in 0..n_bins {
                assert_eq!(bin_of(edge(bin + 1, n_bins), n_bins), bin, "{n_bins}");
                assert_eq!(bin_of(edge(bin, n_bins).next_up(), n_bins), bin, "{n_bins}");
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let refused = |answers: &[(f64, bool)], bins| {
            Calibration::with_bins(answers.iter().copied(), bins)
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[], 15).contains("there is no answer"));
        assert!(refused(&[(0.5, true)], 0).contains("n_bins is 0"));
        for confidence in [f64::NAN, -0.1, 1.1] {
            let error = refused(&[(0.5, true), (confidence, true)], 15);
            assert!(error.contains("it must be between 0 and 1"), "{error}");
        }
    }

    #[test]
    fn a_true_model_shows_the_error_that_chance_gives() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rounds = 200;
        let (mut shown, mut foretold) = (0.0, 0.0);
        for _ in 0..rounds {
            let answers: Vec<(f64, bool)> = (0..600)
                .map(|_| {
                    let confidence: f64 = rng.random();
                    (confidence, rng.random::<f64>() < confidence)
                })
                .collect();
            let found = Calibration::new(answers).unwrap();
            shown += found.expected_error / f64::from(rounds);
            foretold += found.expected_error_by_chance / f64::from(rounds);
        }
        assert!((shown / foretold - 1.0).abs() < 0.05, "{shown}, {foretold}");
    }

    proptest! {
        #[test]
        fn errors_are_between_the_overall_gap_and_one(
            answers in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 1..300),
            n_bins in 1usize..40,
        ) {
            let found = Calibration::with_bins(answers.iter().copied(), n_bins).unwrap();
            let items: usize = found.bins.iter().map(|bin| bin.correct.total()).sum();
            prop_assert_eq!(items, answers.len());
            prop_assert!(found.overconfidence().abs() <= found.expected_error + 1e-12);
            prop_assert!(found.expected_error <= found.maximum_error + 1e-12);
            prop_assert!(found.maximum_error <= 1.0);
            prop_assert!(found.bins.iter().all(|bin| bin.low < bin.high
                && bin.low <= bin.confidence + 1e-12 && bin.confidence <= bin.high + 1e-12));
        }
    }
}
