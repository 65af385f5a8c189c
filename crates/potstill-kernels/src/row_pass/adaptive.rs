//! The head of a teacher's distribution, for the adaptive KL divergence.

use super::passes::update_pairs;
use super::soft::FromLogarithms;
use super::softmax::probability;

/// The bits of a probability that name its bin: sign, exponent and seven bits of the fraction.
const BIN_SHIFT: u32 = 16;

/// Bins of probabilities up to a little above 1.
const BINS: usize = (0x3f81_0000 >> BIN_SHIFT) + 1;

/// `Σ_head |p − q| / Σ |p − q|`; ½ where p = q.
///
/// The head are the likeliest tokens whose probabilities sum to at most `mass`, and the likeliest one
/// in any case. They are found without sorting the vocabulary: floats are ordered as their bits are,
/// so tokens are summed by the leading bits of their probability, and only the bin that the mass ends
/// in is sorted.
#[inline(always)]
pub(super) fn head_share(mass: f64, tokens: &FromLogarithms<'_>) -> f32 {
    let (mut p, mut gaps) = (tokens.row.teacher.to_vec(), tokens.row.student.to_vec());
    update_pairs(
        &mut p,
        &mut gaps,
        #[inline(always)]
        |teacher, student| {
            let p = probability(tokens.p.log_probability(teacher));
            let q = probability(tokens.q.log_probability(student));
            ([p, (p - q).abs()], [])
        },
    );
    share_of_head(mass, &p, &gaps)
}

/// The share of the gaps that the head has.
fn share_of_head(mass: f64, probabilities: &[f32], gaps: &[f32]) -> f32 {
    let pairs = || probabilities.iter().copied().zip(gaps.iter().copied());
    let mut bins = vec![(0.0_f64, 0.0_f64); BINS];
    for (p, gap) in pairs() {
        let bin = &mut bins[bin_of(p)];
        bin.0 += f64::from(p);
        bin.1 += f64::from(gap);
    }
    let total: f64 = bins.iter().map(|bin| bin.1).sum();
    if total == 0.0 {
        return 0.5;
    }
    let (mut below, mut head) = (0.0, 0.0);
    let Some(last) = (0..BINS).rev().find(|&bin| {
        let (bin_mass, gap) = bins[bin];
        let is_last = below + bin_mass > mass;
        if !is_last {
            below += bin_mass;
            head += gap;
        }
        is_last
    }) else {
        return 1.0;
    };
    let mut members: Vec<(f32, f32)> = pairs().filter(|(p, _)| bin_of(*p) == last).collect();
    members.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (p, gap) in members {
        let is_likeliest = below == 0.0;
        below += f64::from(p);
        if below > mass && !is_likeliest {
            break;
        }
        head += f64::from(gap);
    }
    (head / total) as f32
}

/// NaN falls into the last bin.
fn bin_of(probability: f32) -> usize {
    ((probability.to_bits() >> BIN_SHIFT) as usize).min(BINS - 1)
}
