//! Yes and no: intervals that hold where two models hardly ever disagree.

use crate::{Interval, Proportion};

/// On how many items two models were right together or alone, where all are right or wrong and none
/// depend on each other.
///
/// Its intervals square and add Wilson's for each of the models:
///
/// ```text
/// candidate − s · reference − √(x² − 2φxy + y²),   x = p − l_p,   y = s · (u_r − r)
/// ```
///
/// is the lower end for the shares p and r, which Wilson puts between l and u; φ is their correlation,
/// corrected for continuity. A bootstrap of items that all agree has no width, so that thirty of them
/// would prove any margin; these have the width that so few items leave.
/// Newcombe, *Improved Confidence Intervals for the Difference between Binomial Proportions Based on
/// Paired Data*, Statistics in Medicine 17 (1998), method 10; for ratios, Donner and Zou, *Closed-Form
/// Confidence Intervals for Functions of the Normal Mean and Standard Deviation*, Statistical Methods in
/// Medical Research 21 (2012).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) both: usize,
    pub(crate) only_candidate: usize,
    pub(crate) only_reference: usize,
    pub(crate) neither: usize,
}

/// A share, and how far Wilson's interval reaches below and above it.
#[derive(Clone, Copy)]
struct Reach {
    share: f64,
    below: f64,
    above: f64,
}

impl Agreement {
    /// The 95 % interval of the candidate's share of right answers less the reference's.
    pub(crate) fn difference_95(&self) -> Interval {
        let (candidate, reference) = (self.candidate(), self.reference());
        let difference = candidate.share - reference.share;
        let half = |x: f64, y: f64| (x * x - 2.0 * self.phi() * x * y + y * y).max(0.0).sqrt();
        Interval {
            low: difference - half(candidate.below, reference.above),
            high: difference + half(candidate.above, reference.below),
        }
    }

    /// The 95 % interval of the candidate's share of right answers divided by the reference's: those
    /// ratios s for which that of `candidate − s · reference` holds 0. `None` where the reference has
    /// nothing right.
    pub(crate) fn ratio_95(&self) -> Option<Interval> {
        let (p, r) = (self.candidate(), self.reference());
        if r.share == 0.0 {
            return None;
        }
        // a·s² − 2b·s + c = 0 at the ends.
        let terms = |x: f64, y: f64| {
            let b = p.share * r.share - self.phi() * x * y;
            let (a, c) = (r.share * r.share - y * y, p.share * p.share - x * x);
            (a, b, c, (b * b - a * c).max(0.0).sqrt())
        };
        let (_, b, c, root) = terms(p.below, r.above);
        let low = if c > 0.0 { c / (b + root) } else { 0.0 };
        let (a, b, _, root) = terms(p.above, r.below);
        let high = (b + root) / a;
        Some(Interval { low, high })
    }

    fn items(&self) -> usize {
        self.both + self.only_candidate + self.only_reference + self.neither
    }

    fn candidate(&self) -> Reach {
        Reach::of(self.both + self.only_candidate, self.items())
    }

    fn reference(&self) -> Reach {
        Reach::of(self.both + self.only_reference, self.items())
    }

    fn phi(&self) -> f64 {
        let [a, b, c, d] = [
            self.both,
            self.only_candidate,
            self.only_reference,
            self.neither,
        ]
        .map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        if margins == 0.0 {
            return 0.0;
        }
        let agreement = a * d - b * c;
        let corrected = if agreement > 0.0 {
            (agreement - 0.5 * (a + b + c + d)).max(0.0)
        } else {
            agreement
        };
        corrected / margins.sqrt()
    }
}

impl Reach {
    fn of(right: usize, items: usize) -> Self {
        let share = Proportion::new(right, items);
        let interval = share.wilson_95();
        Self {
            share: share.value(),
            below: share.value() - interval.low,
            above: interval.high - share.value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn agreement([both, only_candidate, only_reference, neither]: [usize; 4]) -> Agreement {
        Agreement {
            both,
            only_candidate,
            only_reference,
            neither,
        }
    }

    /// What the R package `contingencytables` expects of itself. For the ratio it does not correct φ, which
    /// leaves it a little narrower.
    #[test]
    fn intervals_are_those_of_another_program() {
        let found = agreement([59, 6, 16, 80]);
        let difference = found.difference_95();
        assert!((difference.low + 0.1186).abs() < 5e-5, "{difference:?}");
        assert!((difference.high + 0.0046).abs() < 5e-5, "{difference:?}");
        let ratio = found.ratio_95().unwrap();
        assert!((0.755..0.7592).contains(&ratio.low), "{ratio:?}");
        assert!((0.9866..0.991).contains(&ratio.high), "{ratio:?}");
    }

    #[test]
    fn a_ratio_is_between_two_ends_at_which_nothing_is_lost() {
        // At the lower end s of the ratio, candidate − s · reference reaches down to 0, and only there.
        let found = agreement([36, 12, 2, 9]);
        let (p, r) = (found.candidate(), found.reference());
        let low = |s: f64| {
            let (x, y) = (p.below, s * r.above);
            p.share - s * r.share - (x * x - 2.0 * found.phi() * x * y + y * y).sqrt()
        };
        let ratio = found.ratio_95().unwrap();
        assert!(low(ratio.low).abs() < 1e-12, "{ratio:?}");
        assert!(low(ratio.low - 0.01) > 0.0 && low(ratio.low + 0.01) < 0.0);
        assert!(ratio.low < 48.0 / 38.0 && 48.0 / 38.0 < ratio.high);
        // Whoever is the candidate, it is the same comparison.
        let other = agreement([36, 2, 12, 9]).ratio_95().unwrap();
        assert!((other.low * ratio.high - 1.0).abs() < 1e-12);
        assert!((other.high * ratio.low - 1.0).abs() < 1e-12);
    }

    #[test]
    fn models_that_always_agree_may_still_differ_by_what_few_items_hide() {
        let all_right = agreement([30, 0, 0, 0]);
        let found = all_right.difference_95();
        assert!((found.high - 0.1135).abs() < 1e-4 && (found.low + 0.1135).abs() < 1e-4);
        let ratio = all_right.ratio_95().unwrap();
        assert!((ratio.low - (1.0 - 0.1135)).abs() < 1e-4, "{ratio:?}");
        assert!(agreement([3000, 0, 0, 0]).difference_95().low > -0.002);
        assert_eq!(agreement([0, 0, 0, 30]).ratio_95(), None);
        let nothing = agreement([0, 0, 30, 0]).ratio_95().unwrap();
        assert!(nothing.low == 0.0 && nothing.high > 0.0 && nothing.high < 0.2);
    }

    /// How often the lower ends lie above the truth, which is how often a worse model passes a gate whose
    /// limit is just that.
    #[track_caller]
    fn misses(items: usize, [both, only_candidate, only_reference]: [f64; 3]) -> [f64; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(items as u64);
        let (p, r) = (both + only_candidate, both + only_reference);
        let trials = 2000;
        let mut missed = [0.0; 2];
        for _ in 0..trials {
            let mut counts = [0; 4];
            for _ in 0..items {
                let draw: f64 = rng.random();
                let ends = [both, p, p + only_reference];
                counts[ends.iter().take_while(|end| draw >= **end).count()] += 1;
            }
            let found = agreement(counts);
            let ratio = found.ratio_95().map_or(0.0, |ratio| ratio.low);
            missed[0] += f64::from(u8::from(found.difference_95().low > p - r));
            missed[1] += f64::from(u8::from(ratio > p / r));
        }
        missed.map(|count| count / f64::from(trials))
    }

    #[test]
    fn a_model_at_the_limit_seldom_passes_however_few_the_items() {
        for items in [30, 100, 400] {
            for shares in [
                [0.98, 0.0, 0.02],
                [0.95, 0.0, 0.05],
                [0.9, 0.0, 0.02],
                [0.7, 0.05, 0.1],
                [0.45, 0.03, 0.08],
            ] {
                let [difference, ratio] = misses(items, shares);
                assert!(
                    difference <= 0.045 && ratio <= 0.045,
                    "{items}, {shares:?}: {difference}, {ratio}"
                );
            }
        }
    }
}
