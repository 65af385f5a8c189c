//! Which tokens a text uses.

use potstill_core::KeptTokens;

/// How often each token occurs in what was [added](Self::add).
///
/// ```
/// use potstill_data::TokenCounts;
///
/// # use potstill_testkit as _;
/// let mut counts = TokenCounts::default();
/// counts.add(&[4, 1, 4, 4]);
/// counts.add(&[7, 1]);
/// assert_eq!(counts.at_least(2), [1, 4]);
/// assert_eq!(counts.most_used(1), [4]);
/// assert_eq!((counts.of(7), counts.total()), (1, 6));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    counts: Vec<u64>,
}

impl TokenCounts {
    /// Counts the tokens of a text.
    pub fn add(&mut self, ids: &[u32]) {
        for &id in ids {
            let id = id as usize;
            if id >= self.counts.len() {
                self.counts.resize(id + 1, 0);
            }
            self.counts[id] += 1;
        }
    }

    /// How often a token occurred.
    #[must_use]
    pub fn of(&self, id: u32) -> u64 {
        self.counts.get(id as usize).copied().unwrap_or(0)
    }

    /// How many tokens were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The tokens that occurred so often or more, ascending; never those that did not occur.
    #[must_use]
    pub fn at_least(&self, times: u64) -> Vec<u32> {
        (0..)
            .zip(&self.counts)
            .filter(|&(_, &count)| count >= times.max(1))
            .map(|(id, _)| id)
            .collect()
    }

    /// The `n` tokens that occurred most often, ascending; of equal ones those with the lower id.
    #[must_use]
    pub fn most_used(&self, n: usize) -> Vec<u32> {
        let mut ids = self.at_least(1);
        ids.sort_by_key(|&id| std::cmp::Reverse(self.of(id)));
        ids.truncate(n);
        ids.sort_unstable();
        ids
    }

    /// The share of what was counted that is kept; 1 when nothing was counted.
    #[must_use]
    pub fn share_of(&self, kept: &KeptTokens) -> f64 {
        let total = self.total();
        if total == 0 {
            return 1.0;
        }
        let covered: u64 = kept.old_ids().iter().map(|&id| self.of(id)).sum();
        covered as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_what_is_kept_is_counted_in_occurrences() {
        let mut counts = TokenCounts::default();
        assert_eq!(counts.share_of(&KeptTokens::new([0])), 1.0);
        counts.add(&[2, 2, 2, 5]);
        assert_eq!(counts.share_of(&KeptTokens::new([2, 9])), 0.75);
        assert_eq!(counts.most_used(9), [2, 5]);
        assert_eq!(counts.at_least(0), [2, 5]);
    }
}
