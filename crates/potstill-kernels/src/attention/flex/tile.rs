//! Tiles of queries and keys: how they are read, and what is hidden in them.

use std::ops::Range;

use rayon::prelude::*;

use super::heads::{Head, Heads};
use super::product::{LANES, Lanes};
use crate::attention::ranges::RowRanges;
use crate::host::{exp, vectorized};

/// Keys of a tile. Its scores, and the keys and values they come from, fit the first cache.
pub(super) const KEYS: usize = 64;

/// Blocks of lanes that hold a head.
pub(super) fn blocks(dim: usize) -> usize {
    dim.div_ceil(LANES)
}

/// Copies the first `count` positions of `head`, times `scale`, and clears the remaining ones.
///
/// Each block of lanes holds its part of all positions, one after the other.
#[inline(always)]
pub(super) fn pack(packed: &mut [Lanes], head: Head<'_>, count: usize, scale: f32) {
    let positions = packed.len() / blocks(head.dim);
    for (block, packed) in packed.chunks_exact_mut(positions).enumerate() {
        let start = block * LANES;
        let width = LANES.min(head.dim - start);
        let (packed, rest) = packed.split_at_mut(count);
        for (position, packed) in packed.iter_mut().enumerate() {
            let values = &head.row(position)[start..start + width];
            if let Some(values) = values.as_array::<LANES>() {
                for lane in 0..LANES {
                    packed[lane] = values[lane] * scale;
                }
            } else {
                packed.fill(0.0);
                for (packed, value) in packed.iter_mut().zip(values) {
                    *packed = value * scale;
                }
            }
        }
        rest.fill([0.0; LANES]);
    }
}

/// All positions of each head of a batch, packed.
pub(super) fn pack_heads(heads: &Heads<'_>) -> Vec<Vec<Lanes>> {
    (0..heads.batch * heads.heads)
        .into_par_iter()
        .map(|index| {
            let head = heads.head(index / heads.heads, index % heads.heads);
            let mut packed = vec![[0.0; LANES]; blocks(heads.dim) * heads.positions];
            vectorized(
                #[inline(always)]
                || pack(&mut packed, head, heads.positions, 1.0),
            );
            packed
        })
        .collect()
}

/// Turns `LANES` packed positions into a block of positions per channel.
#[inline(always)]
pub(super) fn transpose(transposed: &mut [Lanes], packed: &[Lanes]) {
    /// Side of the squares that are transposed in registers.
    const SIDE: usize = 8;
    let blocks = transposed
        .chunks_exact_mut(LANES)
        .zip(packed.chunks_exact(LANES));
    for (transposed, packed) in blocks {
        for channel in (0..LANES).step_by(SIDE) {
            for position in (0..LANES).step_by(SIDE) {
                let mut square = [[0.0; SIDE]; SIDE];
                for row in 0..SIDE {
                    square[row].copy_from_slice(&packed[position + row][channel..channel + SIDE]);
                }
                for column in 0..SIDE {
                    let turned = &mut transposed[channel + column][position..position + SIDE];
                    for row in 0..SIDE {
                        turned[row] = square[row][column];
                    }
                }
            }
        }
    }
}

/// What the queries of a tile see.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    start: [u32; LANES],
    end: [u32; LANES],
    /// Columns that all of them see.
    common: Range<usize>,
    /// Columns that any of them sees.
    pub(super) any: Range<usize>,
    /// Segments of all columns and of the queries, where they matter.
    segments: Option<(&'a [i64], [i64; LANES])>,
}

impl<'a> Sight<'a> {
    /// Of `count` queries from `first` on. Lanes beyond them see what the last one sees.
    pub(super) fn new(ranges: RowRanges<'a>, first: usize, count: usize) -> Self {
        let query = |lane: usize| first + lane.min(count - 1);
        let visible = |lane| &ranges.visible[query(lane)];
        let start = std::array::from_fn(|lane| visible(lane).start);
        let end = std::array::from_fn(|lane| visible(lane).end);
        let least = |values: [u32; LANES]| values.into_iter().min().unwrap_or(0) as usize;
        let most = |values: [u32; LANES]| values.into_iter().max().unwrap_or(0) as usize;
        let segments = ranges
            .segments
            .map(|columns| (columns, std::array::from_fn(|lane| columns[query(lane)])));
        Self {
            start,
            end,
            common: most(start)..least(end),
            any: least(start)..most(end),
            segments,
        }
    }

    /// The tiles of columns that any query sees.
    pub(super) fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = self.any.end;
        self.any
            .clone()
            .step_by(KEYS)
            .map(move |start| start..end.min(start + KEYS))
    }

    /// Sets the scores of hidden columns to −∞; the first are those of column `from`.
    #[inline(always)]
    pub(super) fn hide(&self, scores: &mut [Lanes], from: usize) {
        let to = from + scores.len();
        if self.segments.is_none() && self.common.start <= from && to <= self.common.end {
            return;
        }
        for (column, scores) in (from as u32..).zip(scores.iter_mut()) {
            for ((score, start), end) in scores.iter_mut().zip(&self.start).zip(&self.end) {
                if column < *start || *end <= column {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        if let Some((columns, queries)) = &self.segments {
            for (segment, scores) in columns[from..to].iter().zip(scores) {
                for (score, query) in scores.iter_mut().zip(queries) {
                    if segment != query {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// `e^x`, which is 0 for −∞.
#[inline(always)]
pub(super) fn exp_or_zero(x: f32) -> f32 {
    let exp = exp(x);
    if x < -87.0 { 0.0 } else { exp }
}

/// `cap · tanh(score / cap)` of each score.
#[inline(always)]
pub(super) fn cap_scores(scores: &mut [f32], cap: f32) {
    for score in scores {
        *score = cap * (1.0 - 2.0 / (exp(*score * (2.0 / cap)) + 1.0));
    }
}
