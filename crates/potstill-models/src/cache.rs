//! Keys and values of the tokens that a model has already read.

use burn::prelude::*;

/// Columns that a fresh cache has room for beyond its first input.
const HEADROOM: usize = 64;

/// The key-value cache of a batch of sequences that are continued together.
///
/// Rows are prompts padded *on the left* to one length, so that every row appends at the same
/// column. Feed the padded prompts first, then one token a row at a time (or several):
///
/// ```text
/// let mut cache = KvCache::new(vec![longest - length_0, longest - length_1, ...], capacity);
/// let hidden = model.forward_cached(prompts /* [batch, longest] */, &mut cache); // [batch, d_model]
/// let hidden = model.forward_cached(next    /* [batch, 1] */,       &mut cache); // [batch, d_model]
/// cache.retain_rows(&[0, 2]);                                                    // row 1 has finished
/// let hidden = model.forward_cached(next    /* [2, 1] */,           &mut cache); // [2, d_model]
/// ```
///
/// `forward_cached` returns the hidden state of the *last* column after the final norm: what
/// [`CausalLm::head`](potstill_core::CausalLm::head) reads.
///
/// Memory grows with what was read, doubling up to `capacity` columns.
#[derive(Clone, Debug)]
pub struct KvCache {
    padding: Vec<usize>,
    len: usize,
    capacity: usize,
    layers: Vec<LayerCache>,
}

impl KvCache {
    /// An empty cache for `padding.len()` rows, of which row `i` begins with `padding[i]` columns
    /// that nobody sees, and at most `capacity` columns.
    ///
    /// # Panics
    ///
    /// Panics if there is no row or no column.
    #[must_use]
    pub fn new(padding: Vec<usize>, capacity: usize) -> Self {
        assert!(
            !padding.is_empty() && capacity > 0,
            "a cache needs at least one row and column"
        );
        Self {
            padding,
            len: 0,
            capacity,
            layers: Vec::new(),
        }
    }

    /// Columns read so far, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of rows.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.padding.len()
    }

    /// Most columns it may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keeps the rows with these indices, in this order.
    ///
    /// # Panics
    ///
    /// Panics if `rows` is empty or names a row that does not exist.
    pub fn retain_rows(&mut self, rows: &[usize]) {
        assert!(!rows.is_empty(), "a cache needs at least one row");
        if rows.iter().copied().eq(0..self.batch()) {
            return;
        }
        self.padding = rows.iter().map(|&row| self.padding[row]).collect();
        let indices: Vec<i32> = rows
            .iter()
            .map(|&row| i32::try_from(row).expect("a batch has less than 2^31 rows"))
            .collect();
        for layer in &mut self.layers {
            layer.select(&indices);
        }
    }

    /// Left padding of each row.
    pub(crate) fn padding(&self) -> &[usize] {
        &self.padding
    }

    /// Positions of the next `new` columns, `[batch, new]`.
    pub(crate) fn positions(&self, new: usize, device: &Device) -> Tensor<2, Int> {
        let columns = self.len..self.len + new;
        let positions: Vec<i32> = self
            .padding
            .iter()
            .flat_map(|&padding| {
                columns
                    .clone()
                    .map(move |column| column.saturating_sub(padding))
            })
            .map(|position| i32::try_from(position).expect("a cache has less than 2^31 columns"))
            .collect();
        Tensor::from_data(TensorData::new(positions, [self.batch(), new]), device)
    }

    /// The cache of each of `n_layers` layers.
    ///
    /// # Panics
    ///
    /// Panics if `new` columns do not fit, or the cache was begun by a model with another number of
    /// layers.
    pub(crate) fn layers(&mut self, n_layers: usize, new: usize) -> &mut [LayerCache] {
        assert!(
            self.len + new <= self.capacity,
            "{new} columns do not fit behind the {} of a cache of {}",
            self.len,
            self.capacity
        );
        if self.layers.is_empty() {
            let layer = LayerCache {
                filled: 0,
                capacity: self.capacity,
                stored: None,
            };
            self.layers = vec![layer; n_layers];
        }
        assert_eq!(self.layers.len(), n_layers, "a cache belongs to one model");
        &mut self.layers
    }

    /// Notes that every layer has appended `new` columns.
    pub(crate) fn advance(&mut self, new: usize) {
        self.len += new;
    }
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    filled: usize,
    capacity: usize,
    /// Keys and values, `[batch, n_kv_heads, room, head_dim]`.
    stored: Option<(Tensor<4>, Tensor<4>)>,
}

impl LayerCache {
    /// Appends new keys and values and returns all there are.
    ///
    /// # Shapes
    ///
    /// - `key`, `value`: `[batch, n_kv_heads, new, head_dim]`
    /// - outputs: `[batch, n_kv_heads, columns, head_dim]`
    pub(crate) fn append(&mut self, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, new, head_dim] = key.dims();
        let end = self.filled + new;
        let (keys, values) = self.stored.take().unwrap_or_else(|| {
            let shape = [batch, heads, self.capacity.min(end + HEADROOM), head_dim];
            let empty = || Tensor::zeros(shape, (&key.device(), key.dtype()));
            (empty(), empty())
        });
        let [rows, _, room, _] = keys.dims();
        assert_eq!(rows, batch, "the input has as many rows as the cache");
        let missing = (end > room).then(|| self.capacity.min(end.max(2 * room)) - room);
        let grown = |stored: Tensor<4>| match missing {
            Some(columns) => {
                let shape = [batch, heads, columns, head_dim];
                let empty = Tensor::zeros(shape, (&stored.device(), stored.dtype()));
                Tensor::cat(vec![stored, empty], 2)
            }
            None => stored,
        };
        let begin = self.filled;
        let written = |stored: Tensor<4>, new: Tensor<4>| {
            stored.slice_assign(s![.., .., begin..end, ..], new)
        };
        let (keys, values) = (
            written(grown(keys), key.clone()),
            written(grown(values), value.clone()),
        );
        let all = if begin == 0 {
            (key, value)
        } else {
            (
                keys.clone().narrow(2, 0, end),
                values.clone().narrow(2, 0, end),
            )
        };
        self.filled = end;
        self.stored = Some((keys, values));
        all
    }

    fn select(&mut self, rows: &[i32]) {
        self.stored = self.stored.take().map(|(keys, values)| {
            let data = TensorData::new(rows.to_vec(), [rows.len()]);
            let indices = Tensor::<1, Int>::from_data(data, &keys.device());
            (keys.select(0, indices.clone()), values.select(0, indices))
        });
    }
}
