//! Who sees whom.

use std::cell::OnceCell;

use burn::prelude::*;
use potstill_core::TokenBatch;

/// The pairs of positions that attention hides, the same for every layer of a forward pass.
#[derive(Clone, Debug)]
pub(crate) struct Mask {
    /// True where hidden, `[batch or 1, 1, groups · queries, keys]`.
    pub(crate) hidden: Tensor<4, Bool>,
    bias: OnceCell<Tensor<4>>,
}

impl Mask {
    /// Attention inside segments, causal or both ways.
    ///
    /// Padding counts as a segment of its own, so that no row is hidden altogether: its values are
    /// meaningless but finite.
    ///
    /// `groups` query heads share a key head and are stacked along the query axis.
    pub(crate) fn of_batch(
        batch: &TokenBatch,
        causal: bool,
        window: Option<usize>,
        groups: usize,
    ) -> Self {
        let device = &batch.segments.device();
        let [rows, seq] = batch.dims();
        let order = order(seq, causal, window, device);
        let hidden = if batch.is_plain_causal() {
            order
        } else {
            let segments = batch.segments.clone();
            let apart = segments
                .clone()
                .reshape([rows, 1, seq, 1])
                .repeat_dim(3, seq)
                .not_equal(segments.reshape([rows, 1, 1, seq]).repeat_dim(2, seq));
            apart.bool_or(order.repeat_dim(0, rows))
        };
        Self::from_hidden(hidden.repeat_dim(2, groups))
    }

    /// Attention of new columns, the first of them `start`, to all columns so far; row `i` begins
    /// with `padding[i]` columns that nobody sees. `None` where nothing is hidden.
    pub(crate) fn of_cache(
        padding: &[usize],
        start: usize,
        new: usize,
        window: Option<usize>,
        groups: usize,
        device: &Device,
    ) -> Option<Self> {
        let keys = start + new;
        let reaches_all = window.is_none_or(|window| keys <= window);
        if new == 1 && reaches_all && padding.iter().all(|&padding| padding == 0) {
            return None;
        }
        // Rows that are padded alike share their mask.
        let alike = padding.windows(2).all(|pair| pair[0] == pair[1]);
        let padding = if alike { &padding[..1] } else { padding };
        let mut hidden = Vec::with_capacity(padding.len() * groups * new * keys);
        for &padding in padding {
            for _ in 0..groups {
                for query in start..keys {
                    let first = window.map_or(0, |window| (query + 1).saturating_sub(window));
                    let seen = first.max(padding)..=query;
                    // A padding column sees itself: a row must not be hidden altogether.
                    hidden.extend((0..keys).map(|key| key != query && !seen.contains(&key)));
                }
            }
        }
        let shape = [padding.len(), 1, groups * new, keys];
        Some(Self::from_hidden(Tensor::from_data(
            TensorData::new(hidden, shape),
            device,
        )))
    }

    /// −∞ where hidden and 0 elsewhere, in the same shape. Adding it is cheaper to differentiate
    /// than filling. Made when first asked for: it is large, and the fused attention needs none.
    pub(crate) fn bias(&self) -> Tensor<4> {
        let bias = || {
            Tensor::zeros(self.hidden.shape(), &self.hidden.device())
                .mask_fill(self.hidden.clone(), f32::NEG_INFINITY)
        };
        self.bias.get_or_init(bias).clone()
    }

    fn from_hidden(hidden: Tensor<4, Bool>) -> Self {
        Self {
            hidden,
            bias: OnceCell::new(),
        }
    }
}

/// What the order of positions hides, `[1, 1, seq, seq]`.
fn order(seq: usize, causal: bool, window: Option<usize>, device: &Device) -> Tensor<4, Bool> {
    if !causal {
        return Tensor::<4, Int>::zeros([1, 1, seq, seq], device).greater_elem(0);
    }
    let later = Tensor::<2, Bool>::tril_mask([seq, seq], 0, device);
    let hidden = match window.and_then(|window| i64::try_from(window).ok()) {
        Some(window) if (window as usize) < seq => {
            later.bool_or(Tensor::<2, Bool>::triu_mask([seq, seq], 1 - window, device))
        }
        _ => later,
    };
    hidden.unsqueeze::<4>()
}
