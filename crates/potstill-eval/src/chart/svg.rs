//! Draws a [`Chart`] as an SVG picture.
//!
//! The picture is complete in itself, on a light ground. A page that shows it may give each of the
//! colors below another value by a style rule for that attribute (`[fill="#1F2328"]`), which is how
//! the HTML report follows the dark mode of the reader.

use plotters::prelude::*;

use super::axis::Axis;
use super::{Chart, Scale, decimate, ticks};
use crate::Error;

pub(super) const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
pub(super) const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
pub(super) const SERIES: [RGBColor; 4] = [
    RGBColor(0x2F, 0x6D, 0xB5),
    RGBColor(0xC2, 0x57, 0x1A),
    RGBColor(0x2E, 0x8B, 0x57),
    RGBColor(0x8A, 0x4F, 0xBF),
];

/// Twice the size at which it is shown, since coordinates are whole pixels.
pub(super) const SIZE: (u32, u32) = (960, 600);
pub(super) const FONT: u32 = 32;

/// Curves of at most so many points have them marked.
const MARKED: usize = 40;

pub(super) type DrawError = Box<dyn std::error::Error + Send + Sync>;

impl Chart {
    /// The color of the curve `index`, as `#RRGGBB`.
    #[must_use]
    pub fn color(index: usize) -> String {
        let RGBColor(red, green, blue) = SERIES[index % SERIES.len()];
        format!("#{red:02X}{green:02X}{blue:02X}")
    }

    /// How many values one point of the picture of the longest curve stands for.
    #[must_use]
    pub fn values_per_point(&self) -> usize {
        let longest = self.series.iter().map(|series| series.points.len()).max();
        decimate::per_point(longest.unwrap_or(0))
    }

    /// The picture; `None` when there is no finite value to draw.
    ///
    /// # Errors
    ///
    /// When the picture cannot be drawn.
    pub fn to_svg(&self) -> Result<Option<String>, Error> {
        let Some(bounds) = Bounds::of(self) else {
            return Ok(None);
        };
        let mut svg = String::new();
        self.draw(&bounds, &mut svg)
            .map_err(|source| Error::Chart {
                title: self.title.clone(),
                source,
            })?;
        Ok(Some(svg))
    }

    fn draw(&self, bounds: &Bounds, svg: &mut String) -> Result<(), DrawError> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let steps = Axis::linear(bounds.steps);
        let values = match self.usable_scale() {
            Scale::Linear => Axis::linear(bounds.values),
            Scale::Log => Axis::logarithmic(bounds.values),
        };
        let mut plot = ChartBuilder::on(&root)
            .margin(14)
            .margin_right(56)
            .x_label_area_size(84)
            .y_label_area_size(124)
            .build_cartesian_2d(steps, values)?;
        plot.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(2))
            .axis_style(INK.stroke_width(2))
            .label_style(("sans-serif", FONT).into_font().color(&INK))
            .x_desc("step")
            .y_desc(&self.value_label)
            .x_label_formatter(&|step| ticks::label(*step))
            .y_label_formatter(&|value| ticks::label(*value))
            .draw()?;
        for (series, color) in self.series.iter().zip(SERIES.iter().cycle()) {
            for segment in decimate::segments(&series.points) {
                if segment.len() <= MARKED {
                    let marks = segment.iter().map(|&at| Circle::new(at, 6, color.filled()));
                    plot.draw_series(marks)?;
                }
                plot.draw_series(LineSeries::new(segment, color.stroke_width(4)))?;
            }
        }
        drop(plot);
        root.present()?;
        Ok(())
    }
}

/// The ranges of both axes, never empty.
struct Bounds {
    steps: (f64, f64),
    values: (f64, f64),
}

impl Bounds {
    fn of(chart: &Chart) -> Option<Self> {
        let first = chart.drawable().next()?;
        let start = first.step as f64;
        let all = ((start, start), (first.value, first.value));
        let (steps, (low, high)) = chart.drawable().fold(all, |(steps, values), point| {
            let step = point.step as f64;
            (
                (f64::min(steps.0, step), f64::max(steps.1, step)),
                (
                    f64::min(values.0, point.value),
                    f64::max(values.1, point.value),
                ),
            )
        });
        let values = match chart.usable_scale() {
            Scale::Log => (low / 1.15, high * 1.15),
            Scale::Linear => {
                let margin = if high > low {
                    0.06 * (high - low)
                } else {
                    0.5 * high.abs().max(1e-3)
                };
                // A quantity that cannot be negative keeps its zero at the axis.
                let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
                ((low - margin).max(floor), high + margin)
            }
        };
        let margin = if steps.1 > steps.0 { 0.0 } else { 1.0 };
        Some(Self {
            steps: (steps.0 - margin, steps.1 + margin),
            values,
        })
    }
}
