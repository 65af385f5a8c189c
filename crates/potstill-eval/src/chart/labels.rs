//! Where names of points go, so that they cover neither points nor each other.

use std::ops::Range;

use super::svg::FONT;

/// Width of a letter, about, as a share of the font's size.
const LETTER: f64 = 0.56;

/// Distance of a name from the center of its point.
const GAP: i32 = 26;

/// Pixels that a name may cover to be a pixel nearer.
const FAR: i64 = 16;

/// Half the width that a line takes.
const LINE: i32 = 4;

/// A rectangle: left, top, right, bottom.
type Rectangle = [i32; 4];

/// What is taken already.
pub(super) struct Places {
    frame: Rectangle,
    points: Vec<(i32, i32)>,
    taken: Vec<Rectangle>,
}

impl Places {
    /// An empty plot of these columns and rows of pixels.
    pub(super) fn new((columns, rows): (Range<i32>, Range<i32>)) -> Self {
        Self {
            frame: [columns.start, rows.start, columns.end, rows.end],
            points: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// A point, with the rows where its interval ends.
    pub(super) fn point(&mut self, (x, y): (i32, i32), interval: Option<[i32; 2]>) {
        self.points.push((x, y));
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
            // Squares side by side: each pixel of the line counts about once.
            let steps = ((to_x - x).abs().max((to_y - y).abs()) / (2 * LINE)).max(1);
            for step in 0..=steps {
                let (x, y) = (x + (to_x - x) * step / steps, y + (to_y - y) * step / steps);
                self.taken.push([x - LINE, y - LINE, x + LINE, y + LINE]);
            }
        }
    }

    /// The upper left corner for the name of the point at `(x, y)`: beside it, above or below, where it
    /// covers least, is not far away and cannot be taken for the name of another point.
    pub(super) fn label(&mut self, (x, y): (i32, i32), name: &str) -> (i32, i32) {
        let height = FONT.cast_signed();
        let width = (LETTER * f64::from(FONT) * name.chars().count() as f64).ceil() as i32;
        let (right, left, middle) = (x + GAP, x - GAP - width, x - width / 2);
        let (above, below, level) = (y - GAP - height, y + GAP, y - height / 2);
        let beside = [level, level - height / 2, level + height / 2]
            .into_iter()
            .flat_map(|y| [(right, y), (left, y)]);
        // Further away only where it is crowded.
        let corners = beside.chain((0..4).flat_map(|row| {
            let (above, below) = (above - row * height, below + row * height);
            [right, left, middle]
                .into_iter()
                .flat_map(move |x| [(x, above), (x, below)])
        }));
        let boxed = |(x, y): (i32, i32)| [x, y, x + width, y + height];
        let area = i64::from(width) * i64::from(height);
        let cost = |corner: &(i32, i32)| {
            let own = boxed(*corner);
            // What is cut off cannot be read at all.
            let outside = 10 * (area - overlap(own, self.frame));
            let hidden: i64 = self.taken.iter().map(|taken| overlap(own, *taken)).sum();
            let away = distance((x, y), own);
            let nearer = |point: &&(i32, i32)| distance(**point, own) < away;
            let strangers = self.points.iter().filter(nearer).count() as i64;
            // A name may touch a line before it leaves its point.
            hidden + outside + FAR * (away - f64::from(GAP)).max(0.0) as i64 + area / 2 * strangers
        };
        // `min_by_key` keeps the first of equals.
        let best = corners.min_by_key(cost).unwrap_or((x, y));
        self.taken.push(boxed(best));
        best
    }
}

/// From a point to the nearest edge of a rectangle.
fn distance((x, y): (i32, i32), [left, top, right, bottom]: Rectangle) -> f64 {
    let (dx, dy) = (x - x.clamp(left, right), y - y.clamp(top, bottom));
    f64::from(dx).hypot(f64::from(dy))
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
    fn a_name_stays_with_its_point_in_the_upper_left_corner() {
        let corner = (48, 44);
        let (mut far, mut misread) = (0, 0);
        let neighbors = (70..700)
            .step_by(30)
            .flat_map(|x| (50..480).step_by(30).map(move |y| (x, y)));
        // A front that rises, stays, and falls.
        let ends = [(780, 20), (780, 44), (780, 300)];
        for (neighbor, end) in neighbors.flat_map(|it| ends.map(|end| (it, end))) {
            let points = [corner, neighbor, end];
            let mut places = Places::new((0..800, 0..500));
            places.line(&[corner, end]);
            for point in points {
                places.point(point, Some([point.1 - 25, point.1 + 25]));
            }
            let (left, top) = places.label(corner, "4-layers");
            let width = (LETTER * f64::from(FONT) * 8.0).ceil() as i32;
            let own = [left, top, left + width, top + FONT.cast_signed()];
            let away = distance(corner, own);
            far += u32::from(away > 40.0);
            misread += u32::from(points.iter().any(|point| distance(*point, own) < away));
        }
        // Of 945, those with a neighbor right beside it.
        assert!(far < 10 && misread < 20, "{far} {misread}");
    }

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
