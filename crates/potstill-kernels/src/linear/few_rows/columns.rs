//! Few rows times a matrix that lies row after row, `[d_in, d_out]`.
//!
//! ```text
//! y[r, c] = Σ_k x[r, k] · w[k, c]
//! ```
//!
//! A panel of some rows and columns of the matrix is widened to f32 once and multiplied with every
//! row of x while it is close, the next one being fetched meanwhile. For a single row of x it need not
//! be written anywhere. What a panel adds is summed on its own first: adding one product after the other
//! to a sum of a thousand rounds twice as much.

use pulp::{Arch, Simd, WithSimd};

use super::panel::RowAfterRow;
use super::{block_of, for_each_block};

/// Rows of a panel.
const DEPTH: usize = 16;

/// Columns of a panel; sums are padded to a multiple.
const WIDTH: usize = 64;

type Panel = [[f32; WIDTH]; DEPTH];

/// `x · weight`, with `x` of as many rows as `y`, and `y` of zeros.
pub(super) fn product<W: RowAfterRow>(
    x: &[f32],
    weight: W,
    [d_in, d_out]: [usize; 2],
    y: &mut [f32],
) {
    let block = block_of(d_in, d_out, WIDTH / 2, 1);
    for_each_block(y, d_out, block, |first, y| {
        let columns = y[0].len();
        let padded = columns.next_multiple_of(WIDTH);
        let mut sums = vec![0.0; y.len() * padded];
        Arch::new().dispatch(Strip {
            x,
            d_in,
            weight,
            first,
            columns,
            sums: &mut sums,
            padded,
        });
        for (y, sums) in y.iter_mut().zip(sums.chunks_exact(padded)) {
            y.copy_from_slice(&sums[..columns]);
        }
    });
}

/// `columns` of a product from `first` on.
struct Strip<'a, W> {
    x: &'a [f32],
    d_in: usize,
    weight: W,
    first: usize,
    columns: usize,
    /// `[rows, padded]`.
    sums: &'a mut [f32],
    padded: usize,
}

impl<W: RowAfterRow> WithSimd for Strip<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.sums.len() / self.padded;
        // Vectors of 128 bits are no faster without a panel: too few registers.
        match S::F32_LANES {
            16 if rows == 1 => return self.one_row::<S, 4>(simd),
            8 if rows == 1 => return self.one_row::<S, 8>(simd),
            _ => {}
        }
        let mut panel = [[0.0; WIDTH]; DEPTH];
        for k in (0..self.d_in).step_by(DEPTH) {
            for column in (0..self.columns).step_by(WIDTH) {
                let depth = self.fill(&mut panel, k, column);
                let mut tiles = Tiles {
                    simd,
                    panel: &panel[..depth],
                    x: &self.x[k..],
                    d_in: self.d_in,
                    sums: &mut self.sums[column..],
                    padded: self.padded,
                };
                let mut row = 0;
                // As many sums as fit the registers.
                while row < rows {
                    row += match rows - row {
                        1 => tiles.add::<1, 4>(row),
                        2 | 3 => tiles.add::<2, 4>(row),
                        8.. if S::F32_LANES >= 16 => tiles.add::<8, 2>(row),
                        _ => tiles.add::<4, 2>(row),
                    };
                }
            }
        }
    }
}

impl<W: RowAfterRow> Strip<'_, W> {
    /// The same sums in the same order, for a single row of x: weights are widened where they are
    /// multiplied, since nobody else needs them. A panel is `V` vectors wide.
    #[inline(always)]
    fn one_row<S: Simd, const V: usize>(self, simd: S) {
        let mut wide = [0.0; WIDTH];
        for k in (0..self.d_in).step_by(DEPTH) {
            let x = &self.x[k..self.d_in.min(k + DEPTH)];
            for column in (0..self.columns).step_by(WIDTH) {
                let width = WIDTH.min(self.columns - column);
                let stored = S::as_mut_simd_f32s(&mut self.sums[column..column + WIDTH]).0;
                let mut sums = [simd.splat_f32s(0.0); V];
                for (j, &x) in x.iter().enumerate() {
                    let (row, column) = (k + j, self.first + column);
                    if width == WIDTH {
                        // A length that is known, so that they stay in registers.
                        self.weight.widen(row, column, &mut wide, DEPTH);
                    } else {
                        self.weight.widen(row, column, &mut wide[..width], DEPTH);
                    }
                    let x = simd.splat_f32s(x);
                    let weights = S::as_simd_f32s(&wide).0;
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add_e_f32s(x, *weight, *sum);
                    }
                }
                for (stored, sum) in stored.iter_mut().zip(sums) {
                    *stored = simd.add_f32s(*stored, sum);
                }
            }
        }
    }

    /// Widens the panel at row `k` and `column`, and returns how many rows it has.
    #[inline(always)]
    fn fill(&self, panel: &mut Panel, k: usize, column: usize) -> usize {
        let depth = DEPTH.min(self.d_in - k);
        let width = WIDTH.min(self.columns - column);
        for (j, row) in panel[..depth].iter_mut().enumerate() {
            let values = &mut row[..width];
            self.weight.widen(k + j, self.first + column, values, DEPTH);
        }
        depth
    }
}

/// The products of a panel.
struct Tiles<'a, S> {
    simd: S,
    panel: &'a [[f32; WIDTH]],
    x: &'a [f32],
    d_in: usize,
    sums: &'a mut [f32],
    padded: usize,
}

impl<S: Simd> Tiles<'_, S> {
    /// Adds the products of `R` rows of x from `row` on, `V` vectors of columns at a time; returns `R`.
    #[inline(always)]
    fn add<const R: usize, const V: usize>(&mut self, row: usize) -> usize {
        let (simd, padded, depth) = (self.simd, self.padded, self.panel.len());
        let mut x: [&[f32]; R] = [&[]; R];
        for (r, x) in x.iter_mut().enumerate() {
            *x = &self.x[(row + r) * self.d_in..][..depth];
        }
        for column in (0..WIDTH).step_by(V * S::F32_LANES) {
            let tile = column..column + V * S::F32_LANES;
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            for (k, weights) in self.panel.iter().enumerate() {
                let weights = &S::as_simd_f32s(&weights[tile.clone()]).0[..V];
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = simd.splat_f32s(x[r][k]);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add_e_f32s(x, *weight, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let stored = &mut self.sums[(row + r) * padded..][tile.clone()];
                for (stored, sum) in S::as_mut_simd_f32s(stored).0.iter_mut().zip(sums) {
                    *stored = simd.add_f32s(*stored, *sum);
                }
            }
        }
        R
    }
}
