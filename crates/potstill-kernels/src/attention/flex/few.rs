//! A few queries against many keys: decoding.
//!
//! The keys of a head are read once, for all the queries of their group, and then its values: what
//! bounds this is memory.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::forward::Forward;
use super::heads::{Head, Heads};
use super::product::{LANES, dot};
use super::tile::{cap_scores, exp_or_zero};
use crate::attention::ranges::RowRanges;

/// Most queries that are cheaper one by one than as a tile.
pub(super) const QUERIES: usize = 4;

/// Multiplications that pay for waking another thread.
const WORTH_A_THREAD: usize = 1 << 17;

/// As [`attend`](super::forward::attend).
pub(super) fn attend(problem: &Forward<'_>) -> (Vec<f32>, Vec<f32>) {
    let &Heads {
        batch,
        positions,
        heads,
        dim,
        ..
    } = problem.query;
    let groups = problem.groups();
    let mut context = vec![0.0; batch * positions * heads * dim];
    let mut log_sums = vec![0.0; batch * positions * heads];
    let task = |(index, (context, log_sums)): (usize, (&mut [f32], &mut [f32]))| {
        let (row, kv_head) = (index / problem.key.heads, index % problem.key.heads);
        pulp::Arch::new().dispatch(Group {
            problem,
            batch: row / positions,
            position: row % positions,
            kv_head,
            context,
            log_sums,
        });
    };
    let work = batch * positions * heads * problem.key.positions * dim;
    if work < WORTH_A_THREAD {
        let context = context.chunks_mut(groups * dim);
        context
            .zip(log_sums.chunks_mut(groups))
            .enumerate()
            .for_each(task);
    } else {
        let context = context.par_chunks_mut(groups * dim);
        context
            .zip(log_sums.par_chunks_mut(groups))
            .enumerate()
            .for_each(task);
    }
    (context, log_sums)
}

/// The query heads of one position that share a key head.
struct Group<'a> {
    problem: &'a Forward<'a>,
    batch: usize,
    position: usize,
    kv_head: usize,
    /// `[groups, dim]`, of zeros.
    context: &'a mut [f32],
    /// `[groups]`.
    log_sums: &'a mut [f32],
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let problem = self.problem;
        let RowRanges { visible, segments } = problem.ranges.row(self.batch);
        let visible = &visible[self.position];
        let (start, n) = (visible.start as usize, visible.len());
        let groups = self.log_sums.len();
        let key = problem.key.head(self.batch, self.kv_head).from(start);
        let value = problem.value.head(self.batch, self.kv_head).from(start);
        let mut weights = vec![0.0; groups * n];
        for column in 0..n {
            let key = key.row(column);
            for group in 0..groups {
                let head = self.kv_head * groups + group;
                let query = problem.query.head(self.batch, head).row(self.position);
                weights[group * n + column] = dot(simd, query, key) * problem.scale;
            }
        }
        if let Some(cap) = problem.softcap {
            cap_scores(&mut weights, cap);
        }
        for (weights, log_sum) in weights.chunks_exact_mut(n).zip(self.log_sums) {
            if let Some(segments) = segments {
                let own = segments[self.position];
                for (score, segment) in weights.iter_mut().zip(&segments[start..]) {
                    if *segment != own {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
            *log_sum = normalize(weights);
        }
        mix(simd, self.context, &weights, value);
    }
}

/// Turns scores into probabilities and returns the logarithm of the sum of their exponentials.
#[inline(always)]
fn normalize(scores: &mut [f32]) -> f32 {
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    let mut greatest = [f32::MIN; LANES];
    for block in blocks.iter() {
        for lane in 0..LANES {
            greatest[lane] = greatest[lane].max(block[lane]);
        }
    }
    let greatest = greatest
        .iter()
        .chain(&*rest)
        .fold(f32::MIN, |a, b| a.max(*b));
    let mut sums = [0.0; LANES];
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = exp_or_zero(block[lane] - greatest);
            sums[lane] += block[lane];
        }
    }
    for score in &mut *rest {
        *score = exp_or_zero(*score - greatest);
    }
    let sum = sums.iter().sum::<f32>() + rest.iter().sum::<f32>();
    let inverse = sum.recip();
    for score in scores {
        *score *= inverse;
    }
    greatest + sum.ln()
}

/// `context_g += Σ_j weights_gj · value_j` for each query head of the group.
#[inline(always)]
fn mix<S: Simd>(simd: S, context: &mut [f32], weights: &[f32], value: Head<'_>) {
    /// Values that are added between two looks at the context.
    const SIDE_BY_SIDE: usize = 4;
    let groups = context.len() / value.dim;
    let n = weights.len() / groups;
    let mut column = 0;
    while column + SIDE_BY_SIDE <= n {
        let rows: [&[f32]; SIDE_BY_SIDE] = std::array::from_fn(|i| value.row(column + i));
        for (context, weights) in context
            .chunks_exact_mut(value.dim)
            .zip(weights.chunks_exact(n))
        {
            let weights = &weights[column..column + SIDE_BY_SIDE];
            let (context, rest) = S::as_mut_simd_f32s(context);
            for (at, context) in context.iter_mut().enumerate() {
                for i in 0..SIDE_BY_SIDE {
                    let value = S::as_simd_f32s(rows[i]).0[at];
                    *context = simd.mul_add_f32s(simd.splat_f32s(weights[i]), value, *context);
                }
            }
            let from = value.dim - rest.len();
            for (at, context) in rest.iter_mut().enumerate() {
                for i in 0..SIDE_BY_SIDE {
                    *context += weights[i] * rows[i][from + at];
                }
            }
        }
        column += SIDE_BY_SIDE;
    }
    for column in column..n {
        for (context, weights) in context
            .chunks_exact_mut(value.dim)
            .zip(weights.chunks_exact(n))
        {
            for (context, value) in context.iter_mut().zip(value.row(column)) {
                *context += weights[column] * value;
            }
        }
    }
}
