//! The keys that each query sees, as ranges of columns.

use std::collections::BTreeMap;
use std::ops::Range;

/// For each query the columns from the first that it sees to the last.
#[derive(Debug)]
pub(crate) struct Ranges {
    queries: usize,
    keys: usize,
    /// `[rows, queries]`; one row stands for all if they are alike.
    visible: Vec<Range<u32>>,
    /// `[rows, keys]`, only where equal segments do not lie side by side: a query then sees those
    /// columns of its range that are of its own segment.
    segments: Option<Vec<i64>>,
}

impl Ranges {
    /// Columns of `[rows, seq]` segments, or of one row without any.
    pub(super) fn of_sequence(
        seq: usize,
        causal: bool,
        window: Option<usize>,
        segments: Option<&[i64]>,
    ) -> Self {
        let order = |query: usize, segment: Range<usize>| {
            let end = if causal { query + 1 } else { segment.end };
            let start = window.map_or(0, |window| (query + 1).saturating_sub(window));
            to_u32(segment.start.max(start))..to_u32(end)
        };
        let Some(segments) = segments else {
            return Self {
                queries: seq,
                keys: seq,
                visible: (0..seq).map(|query| order(query, 0..seq)).collect(),
                segments: None,
            };
        };
        let mut visible = Vec::with_capacity(segments.len());
        let mut scattered = false;
        for row in segments.chunks(seq) {
            let mut extents = BTreeMap::<i64, (Range<usize>, usize)>::new();
            for (column, segment) in row.iter().enumerate() {
                let (extent, count) = extents.entry(*segment).or_insert((column..column, 0));
                extent.end = column + 1;
                *count += 1;
            }
            scattered |= extents
                .values()
                .any(|(extent, count)| extent.len() != *count);
            visible.extend(
                row.iter()
                    .enumerate()
                    .map(|(query, segment)| order(query, extents[segment].0.clone())),
            );
        }
        Self {
            queries: seq,
            keys: seq,
            visible,
            segments: scattered.then(|| segments.to_vec()),
        }
    }

    /// The last `new` of `columns` columns behind `padding`.
    pub(super) fn of_cache(
        padding: &[usize],
        columns: usize,
        new: usize,
        window: Option<usize>,
    ) -> Self {
        let alike = padding.windows(2).all(|pair| pair[0] == pair[1]);
        let padding = if alike {
            &padding[..padding.len().min(1)]
        } else {
            padding
        };
        let visible = padding.iter().flat_map(|&padding| {
            (columns - new..columns).map(move |query| {
                let start = window.map_or(0, |window| (query + 1).saturating_sub(window));
                to_u32(start.max(padding).min(query))..to_u32(query + 1)
            })
        });
        Self {
            queries: new,
            keys: columns,
            visible: visible.collect(),
            segments: None,
        }
    }

    /// Rows that differ: the batch, or 1.
    pub(super) fn rows(&self) -> usize {
        self.visible.len() / self.queries
    }

    /// What the queries of row `batch` see.
    #[cfg(feature = "flex")]
    pub(super) fn row(&self, batch: usize) -> RowRanges<'_> {
        let row = if self.rows() == 1 { 0 } else { batch };
        RowRanges {
            visible: &self.visible[row * self.queries..][..self.queries],
            segments: self
                .segments
                .as_ref()
                .map(|segments| &segments[row * self.keys..][..self.keys]),
        }
    }

    pub(super) fn hide_nothing(&self) -> bool {
        let all = 0..to_u32(self.keys);
        self.segments.is_none() && self.visible.iter().all(|visible| *visible == all)
    }

    /// −∞ where hidden and 0 elsewhere, `[rows, queries, keys]`; segments that do not lie side by
    /// side are not looked at.
    pub(super) fn bias(&self) -> Vec<f32> {
        let mut bias = vec![f32::NEG_INFINITY; self.visible.len() * self.keys];
        for (bias, visible) in bias.chunks_mut(self.keys).zip(&self.visible) {
            bias[visible.start as usize..visible.end as usize].fill(0.0);
        }
        bias
    }
}

/// The ranges of one row.
#[cfg(feature = "flex")]
#[derive(Clone, Copy, Debug)]
pub(super) struct RowRanges<'a> {
    /// Of each query.
    pub(super) visible: &'a [Range<u32>],
    /// Of each column, where they matter.
    pub(super) segments: Option<&'a [i64]>,
}

fn to_u32(column: usize) -> u32 {
    u32::try_from(column).expect("a sequence has less than 2^32 columns")
}
