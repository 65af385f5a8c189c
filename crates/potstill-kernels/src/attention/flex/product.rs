//! Matrix products of the size of a tile.
//!
//! A tile fits the cache, so nothing is packed or split further: blocks of as many sums as the
//! registers hold run over the whole depth. A general product has too much to prepare for so little.

use pulp::{Simd, WithSimd};

/// Values that are worked on side by side: two or more vectors of any processor.
pub(super) const LANES: usize = 32;
/// A block of values.
pub(super) type Lanes = [f32; LANES];

/// The left factor of a product.
pub(super) trait Factor: Copy {
    /// The elements of `R` rows from `first` on, by column, below `depth`, and row.
    fn rows<const R: usize>(self, first: usize, depth: usize) -> impl Fn(usize, usize) -> f32;
}

/// A matrix whose rows lie in memory one after the other.
#[derive(Clone, Copy)]
pub(super) struct ByRow<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// A matrix whose columns lie in memory one after the other.
#[derive(Clone, Copy)]
pub(super) struct ByColumn<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

impl Factor for ByRow<'_> {
    #[inline(always)]
    fn rows<const R: usize>(self, first: usize, depth: usize) -> impl Fn(usize, usize) -> f32 {
        let mut rows: [&[f32]; R] = [&[]; R];
        for (row, values) in rows.iter_mut().enumerate() {
            *values = &self.values[(first + row) * self.stride..][..depth];
        }
        #[inline(always)]
        move |column, row| rows[row][column]
    }
}

impl Factor for ByColumn<'_> {
    #[inline(always)]
    fn rows<const R: usize>(self, first: usize, _: usize) -> impl Fn(usize, usize) -> f32 {
        let values = &self.values[first..];
        #[inline(always)]
        move |column, row| values[column * self.stride..][..R][row]
    }
}

/// `c_i = Σ_k a_ik · b_k`, added to what is there if `ADD`.
#[inline(always)]
pub(super) fn product<S: Simd, const ADD: bool>(
    simd: S,
    a: impl Factor,
    b: &[Lanes],
    c: &mut [Lanes],
) {
    // A function of its own, for the sake of register allocation.
    simd.vectorize(Product::<_, ADD> { a, b, c });
}

struct Product<'a, A, const ADD: bool> {
    a: A,
    b: &'a [Lanes],
    c: &'a mut [Lanes],
}

impl<A: Factor, const ADD: bool> WithSimd for Product<'_, A, ADD> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, c } = self;
        let rows = c.len();
        let mut row = 0;
        if S::REGISTER_COUNT >= 32 {
            while row + 12 <= rows {
                sum_rows::<S, 12, ADD>(simd, a, row, b, c);
                row += 12;
            }
        }
        while row + 4 <= rows {
            sum_rows::<S, 4, ADD>(simd, a, row, b, c);
            row += 4;
        }
        while row < rows {
            sum_rows::<S, 1, ADD>(simd, a, row, b, c);
            row += 1;
        }
    }
}

/// `R` rows from `first` on, two vectors of lanes at a time.
#[inline(always)]
fn sum_rows<S: Simd, const R: usize, const ADD: bool>(
    simd: S,
    a: impl Factor,
    first: usize,
    b: &[Lanes],
    c: &mut [Lanes],
) {
    let a = a.rows::<R>(first, b.len());
    for pair in 0..LANES / (2 * S::F32_LANES) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for (column, b) in b.iter().enumerate() {
            let (b, _) = S::as_simd_f32s(b);
            let (low, high) = (b[2 * pair], b[2 * pair + 1]);
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = simd.splat_f32s(a(column, row));
                sums[0] = simd.mul_add_e_f32s(a, low, sums[0]);
                sums[1] = simd.mul_add_e_f32s(a, high, sums[1]);
            }
        }
        for (c, [mut low, mut high]) in c[first..first + R].iter_mut().zip(sums) {
            let (c, _) = S::as_mut_simd_f32s(c);
            let c = &mut c[2 * pair..2 * pair + 2];
            if ADD {
                low = simd.add_f32s(c[0], low);
                high = simd.add_f32s(c[1], high);
            }
            c[0] = low;
            c[1] = high;
        }
    }
}

/// `Σ a_i · b_i`.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = S::as_simd_f32s(a);
    let (b, b_rest) = S::as_simd_f32s(b);
    let mut sum = simd.splat_f32s(0.0);
    for (a, b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(*a, *b, sum);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    simd.reduce_sum_f32s(sum) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Run<'a, A>(A, &'a [Lanes], Vec<Lanes>);

    impl<A: Factor> WithSimd for Run<'_, A> {
        type Output = Vec<Lanes>;

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let Self(a, b, mut c) = self;
            product::<S, true>(simd, a, b, &mut c);
            product::<S, true>(simd, a, b, &mut c[1..2]);
            product::<S, false>(simd, a, b, &mut c[2..3]);
            c
        }
    }

    #[test]
    fn it_agrees_with_sums_of_products() {
        let (rows, depth) = (31, 5);
        let a: Vec<f32> = (0..rows * depth).map(|i| (i % 13) as f32 - 6.0).collect();
        let transposed: Vec<f32> = (0..depth * rows)
            .map(|i| a[i % rows * depth + i / rows])
            .collect();
        let b: Vec<Lanes> = (0..depth)
            .map(|i| std::array::from_fn(|lane| ((i * lane) % 7) as f32))
            .collect();
        let ones = vec![[1.0; LANES]; rows];
        let by_row = ByRow {
            values: &a,
            stride: depth,
        };
        let by_column = ByColumn {
            values: &transposed,
            stride: rows,
        };
        let arch = pulp::Arch::new();
        let by_row = arch.dispatch(Run(by_row, &b, ones.clone()));
        let by_column = arch.dispatch(Run(by_column, &b, ones));
        for row in 0..rows {
            for lane in 0..LANES {
                let sum =
                    |row| -> f32 { (0..depth).map(|k| a[row * depth + k] * b[k][lane]).sum() };
                let expected = match row {
                    1 => 1.0 + sum(1) + sum(0),
                    2 => sum(0),
                    _ => 1.0 + sum(row),
                };
                assert_eq!([by_row[row][lane], by_column[row][lane]], [expected; 2]);
            }
        }
    }
}
