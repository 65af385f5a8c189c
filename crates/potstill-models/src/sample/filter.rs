//! Which tokens may be drawn, and how likely they are.

use std::cmp::Ordering;

use potstill_core::Sampling;

/// The token with the largest logit, the smallest id among equals.
pub(super) fn likeliest(candidates: &[(u32, f64)]) -> Option<u32> {
    candidates
        .iter()
        .min_by(|a, b| descending(a, b))
        .map(|(token, _)| *token)
}

/// The tokens that pass every filter with their weights, not normalized, likeliest first where they
/// were sorted.
pub(super) fn keep(mut candidates: Vec<(u32, f64)>, sampling: &Sampling) -> Vec<(u32, f64)> {
    let largest = candidates
        .iter()
        .map(|(_, logit)| *logit)
        .fold(f64::NEG_INFINITY, f64::max);
    if let Some(k) = sampling.top_k.filter(|&k| k < candidates.len()) {
        let (_, &mut (_, smallest), _) = candidates.select_nth_unstable_by(k - 1, descending);
        candidates.retain(|(_, logit)| *logit >= smallest);
        candidates.sort_unstable_by_key(|(token, _)| *token);
    }
    // Relative to the largest, so that no temperature overflows: every filter below ignores shifts.
    for (_, logit) in &mut candidates {
        *logit = ((*logit - largest) / sampling.temperature).exp();
    }
    if let Some(p) = sampling.top_p.filter(|&p| p < 1.0) {
        keep_mass(&mut candidates, p);
    }
    if let Some(p) = sampling.min_p {
        candidates.retain(|(_, weight)| *weight >= p);
    }
    candidates
}

/// Keeps a token if the tokens likelier than it hold less than the share `p` of all weights.
fn keep_mass(candidates: &mut Vec<(u32, f64)>, p: f64) {
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    // Usually few tokens hold the mass: sort a few first, and more only if they were too few.
    let mut sorted = 0;
    let mut chunk = 64;
    let mut above = 0.0;
    let mut kept = 0;
    while kept == sorted && sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        if chunk < rest.len() {
            rest.select_nth_unstable_by(chunk, descending);
            rest[..chunk].sort_unstable_by(descending);
            sorted += chunk;
        } else {
            rest.sort_unstable_by(descending);
            sorted = candidates.len();
        }
        while kept < sorted && (kept == 0 || above < p * total) {
            above += candidates[kept].1;
            kept += 1;
        }
        chunk *= 4;
    }
    candidates.truncate(kept);
}

/// Larger values first, smaller ids first among equals.
fn descending(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}
