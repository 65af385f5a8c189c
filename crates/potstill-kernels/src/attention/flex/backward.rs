//! The gradients, head by head.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::forward::Forward;
use super::heads::{Head, Heads};
use super::product::{ByColumn, ByRow, LANES, Lanes, dot, product};
use super::tile::{KEYS, Sight, blocks, cap_scores, exp_or_zero, pack, transpose};
use crate::host::filled;

/// Positions whose gradients one task puts in their place.
const GATHERED: usize = 32;

/// The gradients of attention.
#[derive(Debug)]
pub(super) struct Backward<'a> {
    pub(super) forward: Forward<'a>,
    pub(super) context: &'a Heads<'a>,
    /// Of the context.
    pub(super) gradient: &'a Heads<'a>,
    /// Logarithms of the sums of exponentials, `[batch, queries, heads]`.
    pub(super) statistics: &'a [f32],
    /// Of query, key and value.
    pub(super) wanted: [bool; 3],
}

/// The gradients of query, key and value that are wanted.
///
/// A head is one task, so that the sums over queries have one order for any number of threads. What
/// the heads of a group give their keys and values is added up afterwards.
pub(super) fn differentiate(problem: &Backward<'_>) -> [Option<Vec<f32>>; 3] {
    let Forward { query, key, .. } = problem.forward;
    let heads: Vec<HeadGradients> = (0..query.batch * query.heads)
        .into_par_iter()
        .map(|index| {
            pulp::Arch::new().dispatch(HeadTask {
                problem,
                batch: index / query.heads,
                head: index % query.heads,
            })
        })
        .collect();
    let groups = problem.forward.groups();
    let [want_query, want_key, want_value] = problem.wanted;
    [
        want_query.then(|| gather(query, 1, &heads, |head| &head.query)),
        want_key.then(|| gather(key, groups, &heads, |head| &head.key)),
        want_value.then(|| gather(key, groups, &heads, |head| &head.value)),
    ]
}

/// Gradients of all positions of one query head, block by block; empty where they are not wanted.
struct HeadGradients {
    query: Vec<Lanes>,
    key: Vec<Lanes>,
    value: Vec<Lanes>,
}

/// Adds the gradients of `groups` query heads each, in the layout of `like`.
fn gather(
    like: &Heads<'_>,
    groups: usize,
    heads: &[HeadGradients],
    gradient: impl Fn(&HeadGradients) -> &Vec<Lanes> + Sync,
) -> Vec<f32> {
    let dim = like.dim;
    let width = like.heads * dim;
    let len = like.batch * like.positions * width;
    filled(len, GATHERED * width, |start, values| {
        for (row, values) in (start / width..).zip(values.chunks_exact_mut(width)) {
            let (batch, position) = (row / like.positions, row % like.positions);
            for (head, sums) in values.chunks_exact_mut(dim).enumerate() {
                let first = (batch * like.heads + head) * groups;
                for head in &heads[first..first + groups] {
                    let values = gradient(head);
                    let blocks = values.chunks_exact(values.len() / blocks(dim));
                    for (sums, values) in sums.chunks_mut(LANES).zip(blocks) {
                        for (sum, value) in sums.iter_mut().zip(&values[position]) {
                            *sum += value;
                        }
                    }
                }
            }
        }
    })
}

/// One query head of one row of the batch.
struct HeadTask<'a> {
    problem: &'a Backward<'a>,
    batch: usize,
    head: usize,
}

/// The queries of a tile, read once for all their keys.
struct Queries {
    count: usize,
    /// Times the scale, block by block.
    query: Vec<Lanes>,
    /// Channel by channel.
    query_channels: Vec<Lanes>,
    gradient: Vec<Lanes>,
    gradient_channels: Vec<Lanes>,
    /// Logarithms of the sums of exponentials.
    log_sum: Lanes,
    /// `g_i·o_i`.
    along: Lanes,
}

/// Scores, probabilities and their gradients, key by key.
struct Scores {
    probability: Vec<Lanes>,
    gradient: Vec<Lanes>,
}

impl WithSimd for HeadTask<'_> {
    type Output = HeadGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> HeadGradients {
        let Backward {
            forward, wanted, ..
        } = self.problem;
        let Forward {
            query, key, ranges, ..
        } = forward;
        let blocks = blocks(query.dim);
        let packed = |wanted: bool, positions: usize| {
            vec![[0.0; LANES]; if wanted { positions * blocks } else { 0 }]
        };
        let &[want_query, want_key, want_value] = wanted;
        let mut gradients = HeadGradients {
            query: packed(want_query, query.positions.next_multiple_of(LANES)),
            key: packed(want_key, key.positions),
            value: packed(want_value, key.positions),
        };
        let mut keys = packed(want_query, key.positions);
        if want_query {
            let head = key.head(self.batch, self.head / forward.groups());
            pack(&mut keys, head, key.positions, forward.scale);
        }
        let mut queries = Queries::new(blocks);
        let mut scores = Scores::new();
        for first in (0..query.positions).step_by(LANES) {
            self.read(simd, first, &mut queries);
            let sight = Sight::new(ranges.row(self.batch), first, queries.count);
            for columns in sight.tiles() {
                self.score(simd, columns.clone(), &sight, &queries, &mut scores);
                let Scores {
                    probability,
                    gradient,
                } = &scores;
                if want_value {
                    let sums = &mut gradients.value;
                    add_to_keys(simd, probability, &queries.gradient, sums, &columns, blocks);
                }
                if want_key {
                    let sums = &mut gradients.key;
                    add_to_keys(simd, gradient, &queries.query, sums, &columns, blocks);
                }
                if want_query {
                    let sums = &mut gradients.query;
                    add_to_queries(simd, gradient, &keys, &columns, sums, first, blocks);
                }
            }
        }
        gradients
    }
}

impl Queries {
    fn new(blocks: usize) -> Self {
        let packed = || vec![[0.0; LANES]; blocks * LANES];
        Self {
            count: 0,
            query: packed(),
            query_channels: packed(),
            gradient: packed(),
            gradient_channels: packed(),
            log_sum: [0.0; LANES],
            along: [0.0; LANES],
        }
    }
}

impl Scores {
    fn new() -> Self {
        Self {
            probability: vec![[0.0; LANES]; KEYS],
            gradient: vec![[0.0; LANES]; KEYS],
        }
    }
}

impl HeadTask<'_> {
    #[inline(always)]
    fn tile<'a>(&self, heads: &Heads<'a>, first: usize) -> Head<'a> {
        heads.head(self.batch, self.head).from(first)
    }

    #[inline(always)]
    fn read<S: Simd>(&self, simd: S, first: usize, queries: &mut Queries) {
        let Backward {
            forward,
            context,
            gradient,
            statistics,
            ..
        } = self.problem;
        let Heads {
            positions, heads, ..
        } = *forward.query;
        let count = LANES.min(positions - first);
        queries.count = count;
        pack(
            &mut queries.query,
            self.tile(forward.query, first),
            count,
            forward.scale,
        );
        transpose(&mut queries.query_channels, &queries.query);
        pack(
            &mut queries.gradient,
            self.tile(gradient, first),
            count,
            1.0,
        );
        transpose(&mut queries.gradient_channels, &queries.gradient);
        // Lanes without a query: their gradient is 0, and so is what they give.
        queries.log_sum = [0.0; LANES];
        queries.along = [0.0; LANES];
        let (gradient, context) = (self.tile(gradient, first), self.tile(context, first));
        for lane in 0..count {
            let row = (self.batch * positions + first + lane) * heads + self.head;
            queries.log_sum[lane] = statistics[row];
            queries.along[lane] = dot(simd, gradient.row(lane), context.row(lane));
        }
    }

    /// Probabilities of the keys `columns`, and the gradients of their scores.
    #[inline(always)]
    fn score<S: Simd>(
        &self,
        simd: S,
        columns: Range<usize>,
        sight: &Sight<'_>,
        queries: &Queries,
        scores: &mut Scores,
    ) {
        let forward = &self.problem.forward;
        let kv_head = self.head / forward.groups();
        let (column, n) = (columns.start, columns.len());
        let against = |rows: Head<'_>, queries: &[Lanes], scores: &mut [Lanes]| {
            let factor = ByRow {
                values: rows.values,
                stride: rows.stride,
            };
            product::<S, false>(simd, factor, &queries[..rows.dim], scores);
        };
        let probability = &mut scores.probability[..n];
        let gradient = &mut scores.gradient[..n];
        let key = forward.key.head(self.batch, kv_head).from(column);
        against(key, &queries.query_channels, probability);
        let value = forward.value.head(self.batch, kv_head).from(column);
        against(value, &queries.gradient_channels, gradient);
        let mut along = queries.along;
        if let Some(cap) = forward.softcap {
            cap_scores(probability.as_flattened_mut(), cap);
            // Before hidden scores become −∞: the slope of what is hidden is finite.
            for (gradient, score) in gradient.iter_mut().zip(probability.iter()) {
                for lane in 0..LANES {
                    let ratio = score[lane] / cap;
                    gradient[lane] = (gradient[lane] - along[lane]) * (1.0 - ratio * ratio);
                }
            }
            along = [0.0; LANES];
        }
        sight.hide(probability, column);
        for (gradient, probability) in gradient.iter_mut().zip(probability) {
            for lane in 0..LANES {
                let p = exp_or_zero(probability[lane] - queries.log_sum[lane]);
                probability[lane] = p;
                gradient[lane] = (gradient[lane] - along[lane]) * p;
            }
        }
    }
}

/// `sums_j += Σ_i factors_ji · rows_i` for the keys `columns` and the queries of a tile.
#[inline(always)]
fn add_to_keys<S: Simd>(
    simd: S,
    factors: &[Lanes],
    rows: &[Lanes],
    sums: &mut [Lanes],
    columns: &Range<usize>,
    blocks: usize,
) {
    let factors = ByRow {
        values: factors.as_flattened(),
        stride: LANES,
    };
    let sums = sums.chunks_exact_mut(sums.len() / blocks);
    for (sums, rows) in sums.zip(rows.chunks_exact(LANES)) {
        product::<S, true>(simd, factors, rows, &mut sums[columns.clone()]);
    }
}

/// `sums_i += Σ_j factors_ji · rows_j` for the queries of a tile, the first of them `first`, and the
/// keys `columns`.
#[inline(always)]
fn add_to_queries<S: Simd>(
    simd: S,
    factors: &[Lanes],
    rows: &[Lanes],
    columns: &Range<usize>,
    sums: &mut [Lanes],
    first: usize,
    blocks: usize,
) {
    let factors = ByColumn {
        values: factors.as_flattened(),
        stride: LANES,
    };
    let sums = sums.chunks_exact_mut(sums.len() / blocks);
    for (sums, rows) in sums.zip(rows.chunks_exact(rows.len() / blocks)) {
        let sums = &mut sums[first..first + LANES];
        product::<S, true>(simd, factors, &rows[columns.clone()], sums);
    }
}
