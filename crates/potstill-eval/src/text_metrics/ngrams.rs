//! Counting what follows on each other.

use std::collections::HashMap;
use std::hash::Hash;

/// How often each run of `n` items occurs.
pub(super) fn ngrams<T: Eq + Hash>(items: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for run in items.windows(n) {
        *counts.entry(run).or_default() += 1;
    }
    counts
}

/// How many runs two counts share.
pub(super) fn shared<T: Eq + Hash>(a: &HashMap<&[T], u64>, b: &HashMap<&[T], u64>) -> u64 {
    a.iter()
        .filter_map(|(run, count)| Some(*count.min(b.get(run)?)))
        .sum()
}
