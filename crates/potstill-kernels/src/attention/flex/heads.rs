//! Reading heads in place.

/// Values of shape `[batch, positions, heads, dim]`, the last axis without gaps.
#[derive(Debug)]
pub(super) struct Heads<'a> {
    pub(super) values: &'a [f32],
    /// Of the first three axes.
    pub(super) strides: [usize; 3],
    pub(super) batch: usize,
    pub(super) positions: usize,
    pub(super) heads: usize,
    pub(super) dim: usize,
}

impl<'a> Heads<'a> {
    /// The positions of one head.
    pub(super) fn head(&self, batch: usize, head: usize) -> Head<'a> {
        Head {
            values: &self.values[batch * self.strides[0] + head * self.strides[2]..],
            stride: self.strides[1],
            dim: self.dim,
        }
    }
}

/// The values of one head, position after position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) values: &'a [f32],
    /// From one position to the next.
    pub(super) stride: usize,
    pub(super) dim: usize,
}

impl<'a> Head<'a> {
    #[inline(always)]
    pub(super) fn row(&self, position: usize) -> &'a [f32] {
        &self.values[position * self.stride..][..self.dim]
    }

    /// From `position` on.
    #[inline(always)]
    pub(super) fn from(&self, position: usize) -> Self {
        Self {
            values: &self.values[position * self.stride..],
            ..*self
        }
    }
}
