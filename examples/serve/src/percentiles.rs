//! Durations, and how long most of them took.

use std::time::Duration;

/// Durations in any order.
#[derive(Debug, Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// For each of `percents`, the smallest duration that so many of a hundred do not exceed.
    pub(crate) fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [Duration; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        percents.map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentiles([50]), [Duration::ZERO]);
        for millis in (1..=200).rev() {
            durations.push(Duration::from_millis(millis));
        }
        let found = durations.percentiles([50, 95, 99, 100]);
        assert_eq!(
            found.map(|duration| duration.as_millis()),
            [100, 190, 198, 200]
        );
    }
}
