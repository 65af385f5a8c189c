//! Keys and values of the tokens that a model has already read.

mod layer;

use burn::prelude::*;

pub(crate) use layer::LayerCache;

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
/// cache.extend_rows(other);                                                      // others join
/// let hidden = model.forward_cached(next    /* [batch, 1] */,       &mut cache); // [batch, d_model]
/// ```
///
/// `forward_cached` returns the hidden state of the *last* column after the final norm: what
/// [`CausalLm::head`](potstill_core::CausalLm::head) reads.
///
/// Memory grows with what was read, doubling up to `capacity` columns; new keys and values are
/// written in place.
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
    /// Columns that are padding in all of them are dropped, so that [`len`](Self::len) may shrink.
    ///
    /// # Panics
    ///
    /// Panics if `rows` is empty or names a row that does not exist.
    pub fn retain_rows(&mut self, rows: &[usize]) {
        assert!(!rows.is_empty(), "a cache needs at least one row");
        let padding: Vec<usize> = rows.iter().map(|&row| self.padding[row]).collect();
        let common = padding.iter().copied().min().unwrap_or(0).min(self.len);
        if common == 0 && rows.iter().copied().eq(0..self.batch()) {
            return;
        }
        self.padding = padding
            .into_iter()
            .map(|padding| padding - common)
            .collect();
        self.len -= common;
        for layer in &mut self.layers {
            layer.retain(rows, common);
        }
    }

    /// Adds the rows of `other` behind those of this cache, so that all are continued together.
    ///
    /// The shorter of the two gets padding on the left, so that both end at the same column. What a
    /// row has read does not change.
    ///
    /// # Panics
    ///
    /// Panics if `other` was filled by another model, or has more columns than this cache may hold.
    pub fn extend_rows(&mut self, mut other: Self) {
        let len = self.len.max(other.len);
        assert!(
            len <= self.capacity,
            "{len} columns do not fit a cache of {}",
            self.capacity
        );
        let n_layers = self.layers.len().max(other.layers.len());
        let batches = [self.batch(), other.batch()];
        for cache in [&mut *self, &mut other] {
            cache.begin(n_layers);
            for padding in &mut cache.padding {
                *padding += len - cache.len;
            }
        }
        for (layer, other) in self.layers.iter_mut().zip(other.layers) {
            layer.join(other, batches, len);
        }
        self.padding.extend(other.padding);
        self.len = len;
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
        self.begin(n_layers);
        &mut self.layers
    }

    /// Notes that every layer has appended `new` columns.
    pub(crate) fn advance(&mut self, new: usize) {
        self.len += new;
    }

    fn begin(&mut self, n_layers: usize) {
        if self.layers.is_empty() {
            self.layers = vec![LayerCache::new(self.capacity); n_layers];
        }
        assert_eq!(self.layers.len(), n_layers, "a cache belongs to one model");
    }
}
