//! Where names of points go, so that they cover neither points nor each other.

use std::ops::Range;

use super::svg::FONT;

/// Width of a letter, about, as a share of the font's size.
const LETTER: f64 = 0.56;

/// Distance of a name from the center of its point.
const GAP: i32 = 26;

/// Parts of a piece of a line.
const STEPS: i32 = 60;

/// A rectangle: left, top, right, bottom.
type Rectangle = [i32; 4];

/// What is taken already.
pub(super) struct Places {
    frame: Rectangle,
    taken: Vec<Rectangle>,
}

impl Places {
    /// An empty plot of these columns and rows of pixels.
    pub(super) fn new((columns, rows): (Range<i32>, Range<i32>)) -> Self {
        Self {
            frame: [columns.start, rows.start, columns.end, rows.end],
            taken: Vec::new(),
        }
    }

    /// A point, with the rows where its interval ends.
    pub(super) fn point(&mut self, (x, y): (i32, i32), interval: Option<[i32; 2]>) {
        let reach = GAP - 6;
        self.taken
            .push([x - reach, y - reach, x + reach, y + reach]);
        if let Some([a, b]) = interval {
            self.taken.push([x - 4, a.min(b), x + 4, a.max(b)]);
        }
    }

    /// A line through these places.
    pub(super) fn line(&mut self, corners: &[(i32, i32)]) {
        for pair in corners.windows(2) {
            let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
            for step in 0..=STEPS {
                let (x, y) = (x + (to_x - x) * step / STEPS, y + (to_y - y) * step / STEPS);
                self.taken.push([x - 4, y - 4, x + 4, y + 4]);
            }
        }
    }

    /// The upper left corner for the name of the point at `(x, y)`: beside it, above or below, the
    /// nearest place where it covers least.
    pub(super) fn label(&mut self, (x, y): (i32, i32), name: &str) -> (i32, i32) {
        let height = FONT.cast_signed();
        let width = (LETTER * f64::from(FONT) * name.chars().count() as f64).ceil() as i32;
        let (right, left, middle) = (x + GAP, x - GAP - width, x - width / 2);
        let (above, below, level) = (y - GAP - height, y + GAP, y - height / 2);
        let beside = [(right, level), (left, level)].into_iter();
        // Further away only where it is crowded.
        let corners = beside.chain((0..4).flat_map(|row| {
            let (above, below) = (above - row * height, below + row * height);
            [right, left, middle]
                .into_iter()
                .flat_map(move |x| [(x, above), (x, below)])
        }));
        let boxed = |(x, y): (i32, i32)| [x, y, x + width, y + height];
        let covered = |corner: &(i32, i32)| {
            let own = boxed(*corner);
            let inside = overlap(own, self.frame);
            let outside = i64::from(width) * i64::from(height) - inside;
            let hidden: i64 = self.taken.iter().map(|taken| overlap(own, *taken)).sum();
            // What is cut off cannot be read at all.
            hidden + 10 * outside
        };
        // `min_by_key` keeps the first of equals.
        let best = corners.min_by_key(covered).unwrap_or((x, y));
        self.taken.push(boxed(best));
        best
    }
}

/// Pixels that two rectangles share.
fn overlap(a: Rectangle, b: Rectangle) -> i64 {
    let side = |low: usize| i64::from((a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0));
    side(0) * side(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_neither_leave_the_plot_nor_cover_each_other() {
        let mut places = Places::new((0..800, 0..500));
        let points = [(790, 250), (400, 250), (405, 262), (5, 5)];
        for point in points {
            places.point(point, Some([point.1 - 40, point.1 + 40]));
        }
        let name = "4-layers";
        let corners = points.map(|point| places.label(point, name));
        let width = (LETTER * f64::from(FONT) * 8.0).ceil() as i32;
        let boxes = corners.map(|(x, y)| [x, y, x + width, y + FONT.cast_signed()]);
        for (n, own) in boxes.iter().enumerate() {
            assert!(own[0] >= 0 && own[1] >= 0 && own[2] <= 800 && own[3] <= 500);
            assert!(boxes[..n].iter().all(|other| overlap(*own, *other) == 0));
        }
    }
}
