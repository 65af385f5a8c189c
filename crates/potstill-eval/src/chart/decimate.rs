//! Long curves as a picture can hold them.

use super::Point;

/// Most points of a curve in a picture.
pub(super) const MOST: usize = 240;

/// Stretches without a gap, each point the mean of `per_point` steps' values.
pub(super) fn segments(points: &[Point]) -> Vec<Vec<(f64, f64)>> {
    let per_point = per_point(points.len());
    points
        .split(|point| !point.is_drawable())
        .filter(|segment| !segment.is_empty())
        .map(|segment| segment.chunks(per_point).map(mean).collect())
        .collect()
}

/// Number of values that one point of the picture stands for.
pub(super) fn per_point(points: usize) -> usize {
    points.div_ceil(MOST).max(1)
}

fn mean(points: &[Point]) -> (f64, f64) {
    let n = points.len() as f64;
    let steps: f64 = points.iter().map(|point| point.step as f64).sum();
    let values: f64 = points.iter().map(|point| point.value / n).sum();
    (steps / n, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values
            .iter()
            .zip(1..)
            .map(|(&value, step)| Point { step, value })
            .collect()
    }

    #[test]
    fn a_short_curve_is_drawn_as_it_is() {
        assert_eq!(segments(&points(&[3.0, 1.0])), [[(1.0, 3.0), (2.0, 1.0)]]);
    }

    #[test]
    fn a_value_that_is_not_finite_splits_the_curve() {
        let found = segments(&points(&[f64::NAN, 3.0, 1.0, f64::INFINITY, 2.0]));
        assert_eq!(found, [vec![(2.0, 3.0), (3.0, 1.0)], vec![(5.0, 2.0)]]);
    }

    #[test]
    fn a_long_curve_becomes_means() {
        let found = segments(&points(&vec![2.0; 10 * MOST]));
        assert_eq!(found[0].len(), MOST);
        let (step, value) = found[0][0];
        assert!((step - 5.5).abs() < 1e-12 && (value - 2.0).abs() < 1e-12);
    }
}
