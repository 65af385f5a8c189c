//! The context, one tile of queries after the other.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::heads::Heads;
use super::product::{ByColumn, ByRow, LANES, Lanes, product};
use super::tile::{KEYS, Sight, blocks, cap_scores, exp_or_zero, pack, pack_heads, transpose};
use crate::attention::ranges::Ranges;

/// Attention of the queries of a batch.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    pub(super) query: &'a Heads<'a>,
    pub(super) key: &'a Heads<'a>,
    pub(super) value: &'a Heads<'a>,
    pub(super) ranges: &'a Ranges,
    pub(super) scale: f32,
    pub(super) softcap: Option<f32>,
}

impl Forward<'_> {
    /// Query heads that share a key head.
    pub(super) fn groups(&self) -> usize {
        self.query.heads / self.key.heads
    }
}

/// The context, `[batch, queries, heads, dim]`, and the logarithm of the sum of exponentials of each
/// row, `[batch, queries, heads]`.
pub(super) fn attend(problem: &Forward<'_>) -> (Vec<f32>, Vec<f32>) {
    let &Heads {
        batch,
        positions,
        heads,
        dim,
        ..
    } = problem.query;
    let values = pack_heads(problem.value);
    let mut context = vec![0.0; batch * positions * heads * dim];
    let mut log_sums = vec![0.0; batch * positions * heads];
    context
        .par_chunks_mut(positions * heads * dim)
        .zip(log_sums.par_chunks_mut(positions * heads))
        .enumerate()
        .for_each(|(batch, (context, log_sums))| {
            context
                .par_chunks_mut(LANES * heads * dim)
                .zip(log_sums.par_chunks_mut(LANES * heads))
                .enumerate()
                // The last tiles of a causal row see most: they had better not be started last.
                .rev()
                .for_each(|(tile, (context, log_sums))| {
                    pulp::Arch::new().dispatch(Tile {
                        problem,
                        values: &values,
                        batch,
                        first: tile * LANES,
                        context,
                        log_sums,
                    });
                });
        });
    (context, log_sums)
}

/// Up to `LANES` queries of one row of the batch, with all their heads.
struct Tile<'a> {
    problem: &'a Forward<'a>,
    /// Of each key head of the batch.
    values: &'a [Vec<Lanes>],
    batch: usize,
    first: usize,
    /// `[queries, heads, dim]`.
    context: &'a mut [f32],
    /// `[queries, heads]`.
    log_sums: &'a mut [f32],
}

/// What a head is worked on with.
struct Scratch {
    /// Queries, channel by channel.
    query: Vec<Lanes>,
    /// The same, block by block.
    packed: Vec<Lanes>,
    /// Scores, key by key.
    scores: Vec<Lanes>,
    /// The context so far, block by block.
    context: Vec<Lanes>,
}

impl WithSimd for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward { query, ranges, .. } = self.problem;
        let (heads, dim) = (query.heads, query.dim);
        let blocks = blocks(dim);
        let count = self.log_sums.len() / heads;
        let sight = Sight::new(ranges.row(self.batch), self.first, count);
        let mut scratch = Scratch {
            query: vec![[0.0; LANES]; blocks * LANES],
            packed: vec![[0.0; LANES]; blocks * LANES],
            scores: vec![[0.0; LANES]; KEYS],
            context: vec![[0.0; LANES]; blocks * LANES],
        };
        for head in 0..heads {
            let [inverse_sum, log_sum] = self.head(simd, head, &sight, &mut scratch);
            for position in 0..count {
                let to = &mut self.context[(position * heads + head) * dim..][..dim];
                for (to, from) in to
                    .chunks_mut(LANES)
                    .zip(scratch.context.chunks_exact(LANES))
                {
                    for (to, from) in to.iter_mut().zip(&from[position]) {
                        *to = from * inverse_sum[position];
                    }
                }
                self.log_sums[position * heads + head] = log_sum[position];
            }
        }
    }
}

impl Tile<'_> {
    /// Leaves the context in `scratch`, still to be multiplied by the first result; the second is
    /// the logarithm of the sum.
    #[inline(always)]
    fn head<S: Simd>(
        &self,
        simd: S,
        head: usize,
        sight: &Sight<'_>,
        scratch: &mut Scratch,
    ) -> [Lanes; 2] {
        let problem = self.problem;
        let Scratch {
            query,
            packed,
            scores,
            context,
        } = scratch;
        let queries = problem.query.head(self.batch, head).from(self.first);
        let count = self.log_sums.len() / problem.query.heads;
        pack(packed, queries, count, problem.scale);
        transpose(query, packed);
        let kv_head = head / problem.groups();
        let key = problem.key.head(self.batch, kv_head);
        let value = &self.values[self.batch * problem.value.heads + kv_head];
        context.fill([0.0; LANES]);
        // A finite start, so that a row whose first tiles are hidden gives no ∞ − ∞.
        let mut greatest = [f32::MIN; LANES];
        let mut sum = [0.0; LANES];
        for columns in sight.tiles() {
            let n = columns.len();
            let scores = &mut scores[..n];
            let rows = ByRow {
                values: key.from(columns.start).values,
                stride: key.stride,
            };
            product::<S, false>(simd, rows, &query[..key.dim], scores);
            if let Some(cap) = problem.softcap {
                cap_scores(scores.as_flattened_mut(), cap);
            }
            sight.hide(scores, columns.start);
            let shrink = exponentials(scores, &mut greatest, &mut sum);
            for context in context.chunks_exact_mut(LANES) {
                multiply_rows(simd, context, &shrink);
            }
            let weights = ByColumn {
                values: scores.as_flattened(),
                stride: LANES,
            };
            let value = value.chunks_exact(problem.value.positions);
            for (context, value) in context.chunks_exact_mut(LANES).zip(value) {
                product::<S, true>(simd, weights, &value[columns.clone()], context);
            }
        }
        let log_sum = std::array::from_fn(|lane| greatest[lane] + sum[lane].ln());
        [sum.map(f32::recip), log_sum]
    }
}

/// Replaces scores by their exponentials relative to the greatest so far, which it updates with
/// their sum. Returns the factor by which what was summed before has shrunk.
#[inline(always)]
fn exponentials(scores: &mut [Lanes], greatest: &mut Lanes, sum: &mut Lanes) -> Lanes {
    let before = *greatest;
    for scores in scores.iter() {
        for lane in 0..LANES {
            greatest[lane] = greatest[lane].max(scores[lane]);
        }
    }
    let mut shrink = [0.0; LANES];
    for lane in 0..LANES {
        shrink[lane] = exp_or_zero(before[lane] - greatest[lane]);
        sum[lane] *= shrink[lane];
    }
    for scores in scores {
        for lane in 0..LANES {
            scores[lane] = exp_or_zero(scores[lane] - greatest[lane]);
            sum[lane] += scores[lane];
        }
    }
    shrink
}

/// `rows_i · factors_i`.
#[inline(always)]
fn multiply_rows<S: Simd>(simd: S, rows: &mut [Lanes], factors: &Lanes) {
    for (row, factor) in rows.iter_mut().zip(factors) {
        let factor = simd.splat_f32s(*factor);
        for values in S::as_mut_simd_f32s(row).0 {
            *values = simd.mul_f32s(*values, factor);
        }
    }
}
