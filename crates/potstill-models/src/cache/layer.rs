//! The cache of one layer.

use std::ops::Range;

use burn::prelude::*;

/// Columns that a fresh cache has room for beyond its first input.
const HEADROOM: usize = 64;

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    filled: usize,
    capacity: usize,
    stored: Option<Stored>,
}

/// # Shapes
///
/// - both: `[batch, n_kv_heads, room, head_dim]`
#[derive(Clone, Debug)]
struct Stored {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl LayerCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            filled: 0,
            capacity,
            stored: None,
        }
    }

    /// Appends new keys and values and returns views of all there are.
    ///
    /// Nothing is copied but the new ones, as long as the views of the previous call are gone.
    ///
    /// # Shapes
    ///
    /// - `key`, `value`: `[batch, n_kv_heads, new, head_dim]`
    /// - outputs: `[batch, n_kv_heads, columns, head_dim]`
    pub(crate) fn append(&mut self, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, new, head_dim] = key.dims();
        let (begin, end) = (self.filled, self.filled + new);
        let stored = self.stored.take().unwrap_or_else(|| {
            let room = self.room_for(end);
            Stored::zeros([batch, heads, room, head_dim], &key)
        });
        let [rows, _, room, _] = stored.keys.dims();
        assert_eq!(rows, batch, "the input has as many rows as the cache");
        let stored = if end > room {
            let room = self.capacity.min(end.max(2 * room));
            Stored::zeros([batch, heads, room, head_dim], &key).with(
                0..batch,
                0..begin,
                stored.columns(0..begin),
            )
        } else {
            stored
        };
        let new = Stored {
            keys: key,
            values: value,
        };
        let stored = stored.with(0..batch, begin..end, new);
        let all = stored.columns(0..end);
        self.filled = end;
        self.stored = Some(stored);
        (all.keys, all.values)
    }

    /// Keeps some rows, without their first `dropped` columns.
    pub(super) fn retain(&mut self, rows: &[usize], dropped: usize) {
        let kept = dropped..self.filled;
        self.filled -= dropped;
        self.stored = self.stored.take().map(|stored| {
            let rows: Vec<i32> = rows
                .iter()
                .map(|&row| i32::try_from(row).expect("a batch has less than 2^31 rows"))
                .collect();
            let [_, heads, _, head_dim] = stored.keys.dims();
            let shape = [rows.len(), heads, self.room_for(self.filled), head_dim];
            let (all, columns) = (0..rows.len(), 0..self.filled);
            Stored::zeros(shape, &stored.keys).with(all, columns, stored.columns(kept).rows(rows))
        });
    }

    /// Adds the rows of `other`, so that those of both end at column `len`.
    pub(super) fn join(&mut self, other: Self, batches: [usize; 2], len: usize) {
        let parts = [
            (self.filled, self.stored.take()),
            (other.filled, other.stored),
        ];
        let Some(like) = parts.iter().find_map(|(_, stored)| stored.clone()) else {
            return;
        };
        let [_, heads, _, head_dim] = like.keys.dims();
        let shape = [batches.iter().sum(), heads, self.room_for(len), head_dim];
        let mut joined = Stored::zeros(shape, &like.keys);
        let mut row = 0;
        for ((filled, stored), batch) in parts.into_iter().zip(batches) {
            if let Some(stored) = stored {
                let columns = stored.columns(0..filled);
                joined = joined.with(row..row + batch, len - filled..len, columns);
            }
            row += batch;
        }
        self.filled = len;
        self.stored = Some(joined);
    }

    fn room_for(&self, columns: usize) -> usize {
        self.capacity.min(columns + HEADROOM)
    }
}

impl Stored {
    fn zeros(shape: [usize; 4], like: &Tensor<4>) -> Self {
        let zeros = || Tensor::zeros(shape, (&like.device(), like.dtype()));
        Self {
            keys: zeros(),
            values: zeros(),
        }
    }

    /// With `part` in these rows and columns.
    fn with(self, rows: Range<usize>, columns: Range<usize>, part: Self) -> Self {
        let place = s![rows, .., columns, ..];
        Self {
            keys: self.keys.slice_assign(place, part.keys),
            values: self.values.slice_assign(place, part.values),
        }
    }

    /// A view of some columns.
    fn columns(&self, columns: Range<usize>) -> Self {
        let view = |tensor: &Tensor<4>| tensor.clone().narrow(2, columns.start, columns.len());
        Self {
            keys: view(&self.keys),
            values: view(&self.values),
        }
    }

    fn rows(self, rows: Vec<i32>) -> Self {
        let count = rows.len();
        let data = TensorData::new(rows, [count]);
        let indices = Tensor::<1, Int>::from_data(data, &self.keys.device());
        Self {
            keys: self.keys.select(0, indices.clone()),
            values: self.values.select(0, indices),
        }
    }
}
