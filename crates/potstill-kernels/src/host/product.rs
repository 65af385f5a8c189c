//! Matrix products of f32 in memory.

use std::ops::Range;

use burn::backend::flex::FlexTensor;

/// A matrix that is read, wherever its values lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(crate) fn new(values: &'a [f32], shape: [usize; 2]) -> Self {
        Self::strided(values, shape, [shape[1], 1])
    }

    /// Value `(i, j)` lies at `i · strides[0] + j · strides[1]`.
    ///
    /// # Panics
    ///
    /// Panics if `values` does not reach as far as the last value.
    pub(crate) fn strided(values: &'a [f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(
            span(shape, strides) <= values.len(),
            "a matrix of shape {shape:?} and strides {strides:?} is larger than its {} values",
            values.len()
        );
        Self {
            values,
            shape,
            strides,
        }
    }

    /// A view of a tensor of rank 2 and dtype f32.
    ///
    /// # Panics
    ///
    /// Panics if the tensor is something else or runs backwards, see [`primitive`](super::primitive).
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let layout = tensor.layout();
        let strides: Vec<usize> = layout
            .strides()
            .iter()
            .map(|&stride| usize::try_from(stride).expect("a tensor that runs forwards"))
            .collect();
        let (&[rows, columns], &[down, right]) = (&layout.shape()[..], &strides[..]) else {
            panic!("a matrix has two dimensions, not {:?}", layout.shape());
        };
        let values = &tensor.storage::<f32>()[layout.start_offset()..];
        Self::strided(values, [rows, columns], [down, right])
    }

    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self {
            shape: [columns, rows],
            strides: [right, down],
            ..self
        }
    }

    /// Some of its rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        self.block(range, 0..self.shape[1])
    }

    /// Some of its rows, and of those some columns.
    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        for (range, side) in [(&rows, self.shape[0]), (&columns, self.shape[1])] {
            assert!(
                range.start <= range.end && range.end <= side,
                "a side of {side} has no {range:?}"
            );
        }
        let shape = [rows.len(), columns.len()];
        let values = if shape.contains(&0) {
            &[]
        } else {
            &self.values[rows.start * self.strides[0] + columns.start * self.strides[1]..]
        };
        Self {
            values,
            shape,
            strides: self.strides,
        }
    }

    /// The values of a row.
    pub(crate) fn row(self, row: usize) -> impl Iterator<Item = f32> {
        assert!(
            row < self.shape[0],
            "a matrix of {} rows has no row {row}",
            self.shape[0]
        );
        (0..self.shape[1])
            .map(move |column| self.values[row * self.strides[0] + column * self.strides[1]])
    }

    pub(crate) fn shape(self) -> [usize; 2] {
        self.shape
    }
}

/// A matrix that is written, rows one after the other.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    values: &'a mut [f32],
    shape: [usize; 2],
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// # Panics
    ///
    /// Panics if there are not exactly as many values as the shape says.
    pub(crate) fn new(values: &'a mut [f32], shape: [usize; 2]) -> Self {
        assert_eq!(values.len(), shape[0] * shape[1], "values fill {shape:?}");
        Self {
            values,
            shape,
            row_stride: shape[1],
        }
    }

    /// Rows that are `row_stride` values apart; those between them stay as they are.
    ///
    /// # Panics
    ///
    /// Panics if rows would overlap, or `values` does not reach as far as the last value.
    #[cfg_attr(not(test), allow(dead_code, reason = "for tiles of a larger matrix"))]
    pub(crate) fn strided(values: &'a mut [f32], shape: [usize; 2], row_stride: usize) -> Self {
        assert!(
            row_stride >= shape[1],
            "rows of {} values overlap when they are {row_stride} apart",
            shape[1]
        );
        assert!(
            span(shape, [row_stride, 1]) <= values.len(),
            "a matrix of shape {shape:?} and row stride {row_stride} is larger than its {} values",
            values.len()
        );
        Self {
            values,
            shape,
            row_stride,
        }
    }
}

/// Values from the first to behind the last one.
fn span(shape: [usize; 2], strides: [usize; 2]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    let last = |axis: usize| (shape[axis] - 1).checked_mul(strides[axis]);
    last(0)
        .zip(last(1))
        .and_then(|(down, right)| down.checked_add(right)?.checked_add(1))
        .expect("a matrix in memory has less than 2^64 values")
}

/// Who works on a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling one, for a product inside a parallel task.
    #[cfg_attr(not(test), allow(dead_code, reason = "for products of tiles"))]
    One,
    /// All of the current pool. The order of additions does not depend on how many they are.
    All,
}

/// `out = factor · left · right`, added to what is there if `accumulate`.
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub(crate) fn product(
    out: MatrixMut<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    factor: f32,
    accumulate: bool,
    threads: Threads,
) {
    assert_eq!(
        out.shape,
        [left.shape[0], right.shape[1]],
        "a product has the rows of its left and the columns of its right factor"
    );
    assert!(out.values.len() >= span(out.shape, [out.row_stride, 1]));
    // SAFETY: `out` is borrowed mutably, is initialized, and reaches as far as its last value.
    #[allow(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        multiply(
            out.values.as_mut_ptr(),
            out.row_stride,
            left,
            right,
            factor,
            accumulate,
            threads,
        );
    }
}

/// Replaces the content of `out` by `factor · left · right`, rows one after the other.
///
/// Unlike a vector of zeros, its memory is not written twice.
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub(crate) fn product_into(
    out: &mut Vec<f32>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    factor: f32,
    threads: Threads,
) {
    let (rows, columns) = (left.shape[0], right.shape[1]);
    let len = rows * columns;
    out.clear();
    out.reserve_exact(len);
    // SAFETY: there is room for `len` values; `multiply` with `accumulate` false reads none of them
    // and writes all of them before the length says so.
    #[allow(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        multiply(
            out.as_mut_ptr(),
            columns,
            left,
            right,
            factor,
            false,
            threads,
        );
        out.set_len(len);
    }
}

/// # Safety
///
/// `out` must be valid for writes of `left.shape[0]` rows of `right.shape[1]` values that lie
/// `row_stride` ≥ that apart, and for reads of them if `accumulate`; nobody else may use them
/// meanwhile.
#[allow(unsafe_code, reason = "gemm takes pointers")]
unsafe fn multiply(
    out: *mut f32,
    row_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    factor: f32,
    accumulate: bool,
    threads: Threads,
) {
    let ([rows, depth], [right_depth, columns]) = (left.shape, right.shape);
    assert_eq!(
        depth, right_depth,
        "the left factor has as many columns as the right one has rows"
    );
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    for rows in blocks(rows) {
        for columns in blocks(columns) {
            for depth in blocks(depth) {
                let left = left.block(rows.clone(), depth.clone());
                let right = right.block(depth.clone(), columns.clone());
                // SAFETY: the destination is the caller's promise, and blocks lie within it; that both
                // factors hold what their shapes and strides say is an invariant of `Matrix`; gemm
                // computes `out = alpha · out + beta · left · right` and reads `out` only if told so.
                unsafe {
                    gemm::gemm(
                        rows.len(),
                        columns.len(),
                        depth.len(),
                        out.add(rows.start * row_stride + columns.start),
                        1,
                        row_stride.cast_signed(),
                        accumulate || depth.start > 0,
                        left.values.as_ptr(),
                        left.strides[1].cast_signed(),
                        left.strides[0].cast_signed(),
                        right.values.as_ptr(),
                        right.strides[1].cast_signed(),
                        right.strides[0].cast_signed(),
                        1.0,
                        factor,
                        false,
                        false,
                        false,
                        parallelism,
                    );
                }
            }
        }
    }
}

/// Longest side of what is multiplied at once. gemm copies one factor whole before it multiplies; a
/// copy of this size stays in the cache, and a vocabulary is much longer.
const BLOCK: usize = 4096;

/// The blocks of a side; one where it is empty, so that a sum of nothing is written as well.
fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len.max(1))
        .step_by(BLOCK)
        .map(move |start| start..len.min(start + BLOCK))
}

#[cfg(test)]
mod tests;
