//! Who sees whom.

use std::sync::{Arc, OnceLock};

use burn::prelude::*;
use burn::tensor::DType;

use super::ranges::Ranges;

/// Which keys each query sees: the same for every head, and made once for all layers of a forward
/// pass.
///
/// Every query sees at least its own position, so that no row is hidden altogether.
///
/// What an operation needs is derived when it is first asked for: ranges of columns on the host for
/// fused bodies, a bias on the device for the others.
#[derive(Clone, Debug)]
pub struct AttentionMask {
    queries: usize,
    keys: usize,
    /// `None` for columns behind a cache: their ranges are there from the start.
    sequence: Option<Sequence>,
    ranges: OnceLock<Arc<Ranges>>,
    bias: OnceLock<Tensor<4>>,
}

/// Columns of one sequence, which see each other inside their segment.
#[derive(Clone, Debug)]
struct Sequence {
    causal: bool,
    window: Option<usize>,
    segments: Option<Tensor<2, Int>>,
}

impl AttentionMask {
    /// Every position sees itself and what came before, at most `window` positions in all.
    ///
    /// # Panics
    ///
    /// Panics if there is no position, or the window is empty.
    #[must_use]
    pub fn causal(seq: usize, window: Option<usize>) -> Self {
        assert_ne!(window, Some(0), "a window holds at least the position");
        let causal = Sequence {
            causal: true,
            window,
            segments: None,
        };
        Self::of_sequence(seq, causal)
    }

    /// Every position sees every other.
    ///
    /// # Panics
    ///
    /// Panics if there is no position.
    #[must_use]
    pub fn bidirectional(seq: usize) -> Self {
        let bidirectional = Sequence {
            causal: false,
            window: None,
            segments: None,
        };
        Self::of_sequence(seq, bidirectional)
    }

    /// The same inside segments: positions see each other only if their segments are equal.
    ///
    /// A number may stand for padding: padding then sees padding, and its values are meaningless but
    /// finite. Runs of equal numbers are fastest: what is in another run is never computed.
    ///
    /// # Shapes
    ///
    /// - `segments`: `[batch, seq]`
    ///
    /// # Panics
    ///
    /// Panics if `segments` is of another length, or the mask is that of a cache.
    #[must_use]
    pub fn within_segments(self, segments: Tensor<2, Int>) -> Self {
        let [_, seq] = segments.dims();
        assert_eq!(seq, self.queries, "every position has a segment");
        let sequence = self.sequence.expect("a cache has no segments");
        let within = Sequence {
            segments: Some(segments),
            ..sequence
        };
        Self::of_sequence(seq, within)
    }

    /// The last `new` of `columns` columns see those up to their own, at most `window` of them.
    ///
    /// Row `i` begins with `padding[i]` columns that nobody sees, except such a column itself.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer columns than new ones, there is no new one, or the window is empty.
    #[must_use]
    pub fn of_cache(padding: &[usize], columns: usize, new: usize, window: Option<usize>) -> Self {
        assert!(
            0 < new && new <= columns,
            "the last {new} of {columns} columns cannot be new"
        );
        assert_ne!(window, Some(0), "a window holds at least the column");
        let ranges = Ranges::of_cache(padding, columns, new, window);
        Self {
            queries: new,
            keys: columns,
            sequence: None,
            ranges: OnceLock::from(Arc::new(ranges)),
            bias: OnceLock::new(),
        }
    }

    /// `[queries, keys]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        [self.queries, self.keys]
    }

    /// −∞ where hidden and 0 elsewhere, or `None` where nothing is hidden.
    ///
    /// # Shapes
    ///
    /// - output: `[batch or 1, 1, queries, keys]`, f32
    #[must_use]
    pub fn bias(&self, device: &Device) -> Option<Tensor<4>> {
        let hides_nothing = match &self.sequence {
            // Without asking the device for segments.
            Some(sequence) => {
                sequence.segments.is_none() && (!sequence.causal || self.queries == 1)
            }
            None => self.ranges().hide_nothing(),
        };
        let options = (device, DType::F32);
        let bias = || match &self.sequence {
            Some(sequence) => {
                let hidden = sequence.hidden(self.queries, device);
                Tensor::zeros(hidden.shape(), options).mask_fill(hidden, f32::NEG_INFINITY)
            }
            None => {
                let ranges = self.ranges();
                let shape = [ranges.rows(), 1, self.queries, self.keys];
                Tensor::from_data(TensorData::new(ranges.bias(), shape), options)
            }
        };
        (!hides_nothing).then(|| self.bias.get_or_init(bias).clone())
    }

    /// Whether each query sees all keys up to its own, in every row.
    pub(super) fn is_triangle(&self) -> bool {
        self.sequence.as_ref().is_some_and(|sequence| {
            let everything = |window| window >= self.queries;
            sequence.causal && sequence.window.is_none_or(everything) && sequence.segments.is_none()
        })
    }

    /// Reads the segments back from their device when first called.
    pub(super) fn ranges(&self) -> Arc<Ranges> {
        let ranges = || {
            let sequence = self.sequence.as_ref();
            let sequence = sequence.expect("the ranges of a cache are there from the start");
            Arc::new(sequence.ranges(self.queries))
        };
        Arc::clone(self.ranges.get_or_init(ranges))
    }

    fn of_sequence(seq: usize, sequence: Sequence) -> Self {
        assert_ne!(seq, 0, "a sequence has at least one position");
        Self {
            queries: seq,
            keys: seq,
            sequence: Some(sequence),
            ranges: OnceLock::new(),
            bias: OnceLock::new(),
        }
    }
}

impl Sequence {
    fn ranges(&self, seq: usize) -> Ranges {
        let segments = self.segments.as_ref().map(|segments| {
            let segments = segments.to_data();
            segments.iter::<i64>().collect::<Vec<_>>()
        });
        Ranges::of_sequence(seq, self.causal, self.window, segments.as_deref())
    }

    /// `[batch or 1, 1, seq, seq]`.
    fn hidden(&self, seq: usize, device: &Device) -> Tensor<4, Bool> {
        let Some(segments) = &self.segments else {
            return self.hidden_by_order(seq, device);
        };
        let [batch, _] = segments.dims();
        let of_queries = segments.clone().reshape([batch, 1, seq, 1]);
        let of_keys = segments.clone().reshape([batch, 1, 1, seq]);
        let apart = of_queries
            .repeat_dim(3, seq)
            .not_equal(of_keys.repeat_dim(2, seq));
        if self.causal {
            apart.bool_or(self.hidden_by_order(seq, device).repeat_dim(0, batch))
        } else {
            apart
        }
    }

    /// `[1, 1, seq, seq]`, of causal attention.
    fn hidden_by_order(&self, seq: usize, device: &Device) -> Tensor<4, Bool> {
        let later = Tensor::<2, Bool>::tril_mask([seq, seq], 0, device);
        let hidden = match self.window {
            Some(window) if window < seq => {
                let earliest = 1 - window as i64;
                later.bool_or(Tensor::<2, Bool>::triu_mask([seq, seq], earliest, device))
            }
            _ => later,
        };
        hidden.unsqueeze::<4>()
    }
}
