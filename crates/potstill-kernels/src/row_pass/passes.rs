//! Passes over a row, in vector registers.

/// Partial sums of one accumulation. Fixed, so that the order of additions does not depend on the
/// processor.
const LANES: usize = 32;

/// Values whose sum is kept in f32; sums of blocks are added in f64.
const BLOCK: usize = 64 * LANES;

/// The largest value; NaN is passed over.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (largest, &value) in largest.iter_mut().zip(chunk) {
            *largest = if value > *largest { value } else { *largest };
        }
    }
    let larger = |a: f32, b: &f32| if *b > a { *b } else { a };
    largest.iter().chain(rest).fold(f32::NEG_INFINITY, larger)
}

/// Replaces each value by the first result of `each`, and sums the others.
#[inline(always)]
pub(super) fn update<const K: usize>(
    values: &mut [f32],
    each: impl Fn(f32) -> (f32, [f32; K]),
) -> [f64; K] {
    let mut sums = [0.0; K];
    for block in values.chunks_mut(BLOCK) {
        let mut partial = [[0.0; LANES]; K];
        let (chunks, rest) = block.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let (value, terms) = each(chunk[lane]);
                chunk[lane] = value;
                for k in 0..K {
                    partial[k][lane] += terms[k];
                }
            }
        }
        add(&mut sums, &partial);
        for value in rest {
            let (new, terms) = each(*value);
            *value = new;
            add_terms(&mut sums, terms);
        }
    }
    sums
}

/// Sums of what `each` makes of a value.
#[inline(always)]
pub(super) fn sums<const K: usize>(values: &[f32], each: impl Fn(f32) -> [f32; K]) -> [f64; K] {
    let mut sums = [0.0; K];
    for block in values.chunks(BLOCK) {
        let mut partial = [[0.0; LANES]; K];
        let (chunks, rest) = block.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let terms = each(chunk[lane]);
                for k in 0..K {
                    partial[k][lane] += terms[k];
                }
            }
        }
        add(&mut sums, &partial);
        for &value in rest {
            add_terms(&mut sums, each(value));
        }
    }
    sums
}

/// Replaces each pair of values by the first results of `each`, and sums the others.
#[inline(always)]
pub(super) fn update_pairs<const K: usize>(
    a: &mut [f32],
    b: &mut [f32],
    each: impl Fn(f32, f32) -> ([f32; 2], [f32; K]),
) -> [f64; K] {
    let mut sums = [0.0; K];
    for (a, b) in a.chunks_mut(BLOCK).zip(b.chunks_mut(BLOCK)) {
        let mut partial = [[0.0; LANES]; K];
        let (a, a_rest) = a.as_chunks_mut::<LANES>();
        let (b, b_rest) = b.as_chunks_mut::<LANES>();
        for (a, b) in a.iter_mut().zip(b) {
            for lane in 0..LANES {
                let (values, terms) = each(a[lane], b[lane]);
                [a[lane], b[lane]] = values;
                for k in 0..K {
                    partial[k][lane] += terms[k];
                }
            }
        }
        add(&mut sums, &partial);
        for (a, b) in a_rest.iter_mut().zip(b_rest) {
            let (values, terms) = each(*a, *b);
            [*a, *b] = values;
            add_terms(&mut sums, terms);
        }
    }
    sums
}

/// Replaces each value of `a` by what `each` makes of it and its counterpart.
#[inline(always)]
pub(super) fn combine(a: &mut [f32], b: &[f32], each: impl Fn(f32, f32) -> f32) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = each(*a, b);
    }
}

#[inline(always)]
fn add<const K: usize>(sums: &mut [f64; K], partial: &[[f32; LANES]; K]) {
    for (sum, lanes) in sums.iter_mut().zip(partial) {
        *sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
}

#[inline(always)]
fn add_terms<const K: usize>(sums: &mut [f64; K], terms: [f32; K]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += f64::from(term);
    }
}
