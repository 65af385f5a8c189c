//! Marked points with intervals, names and a line through some of them.

use plotters::prelude::*;

use super::svg::{DrawError, FONT, GRID, INK, SERIES, SIZE};
use super::{axis::Axis, labels, ticks};
use crate::{Error, Interval};

/// How a point looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A disk of this color of a [`Chart`](crate::Chart).
    Disk(usize),
    /// A circle of that color.
    Circle(usize),
    /// A disk of that color in a ring of another.
    Ringed(usize, usize),
}

/// A point of a [`Scatter`].
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) at: (f64, f64),
    /// What chance may have done to its height.
    pub(crate) interval: Option<Interval>,
    pub(crate) name: Option<String>,
    pub(crate) look: Look,
}

/// A picture of points.
#[derive(Debug)]
pub(crate) struct Scatter {
    pub(crate) title: String,
    /// Label of each axis.
    pub(crate) labels: [String; 2],
    /// Range of each axis.
    pub(crate) ranges: [(f64, f64); 2],
    /// Whether the horizontal axis is divided by powers.
    pub(crate) log: bool,
    pub(crate) marks: Vec<Mark>,
    /// Drawn below the points.
    pub(crate) line: Vec<(f64, f64)>,
    /// A reference, drawn below everything.
    pub(crate) reference: Vec<(f64, f64)>,
}

const RADIUS: i32 = 11;

impl Scatter {
    pub(crate) fn to_svg(&self) -> Result<String, Error> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|source| Error::Chart {
            title: self.title.clone(),
            source,
        })?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawError> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let [x_range, y_range] = self.ranges;
        let x_axis = if self.log {
            Axis::logarithmic(x_range)
        } else {
            Axis::linear(x_range)
        };
        let mut plot = ChartBuilder::on(&root)
            .margin(14)
            .margin_right(40)
            .x_label_area_size(84)
            .y_label_area_size(124)
            .build_cartesian_2d(x_axis, Axis::linear(y_range))?;
        plot.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(2))
            .axis_style(INK.stroke_width(2))
            .label_style(("sans-serif", FONT).into_font().color(&INK))
            .x_desc(&self.labels[0])
            .y_desc(&self.labels[1])
            .x_label_formatter(&|value| ticks::label(*value))
            .y_label_formatter(&|value| ticks::label(*value))
            .draw()?;
        plot.draw_series(LineSeries::new(self.reference.clone(), INK.stroke_width(2)))?;
        plot.draw_series(LineSeries::new(
            self.line.clone(),
            SERIES[0].stroke_width(4),
        ))?;
        let mut places = labels::Places::new(plot.plotting_area().get_pixel_range());
        let corners: Vec<_> = self.line.iter().map(|at| plot.backend_coord(at)).collect();
        places.line(&corners);
        for mark in &self.marks {
            let center = plot.backend_coord(&mark.at);
            let ends = mark.interval.map(|Interval { low, high }| {
                [low, high].map(|end| plot.backend_coord(&(mark.at.0, end)).1)
            });
            places.point(center, ends);
            let color = match mark.look {
                Look::Disk(color) | Look::Circle(color) | Look::Ringed(color, _) => {
                    SERIES[color % SERIES.len()]
                }
            };
            if let Some(Interval { low, high }) = mark.interval {
                let bar = vec![(mark.at.0, low), (mark.at.0, high)];
                plot.draw_series([PathElement::new(bar, color.stroke_width(3))])?;
            }
            let circle = |radius, style: ShapeStyle| Circle::new(mark.at, radius, style);
            match mark.look {
                Look::Disk(_) => {
                    plot.draw_series([circle(RADIUS, color.filled())])?;
                }
                Look::Circle(_) => {
                    plot.draw_series([circle(RADIUS, color.stroke_width(4))])?;
                }
                Look::Ringed(_, ring) => {
                    let ring = SERIES[ring % SERIES.len()].stroke_width(6);
                    plot.draw_series([circle(RADIUS, color.filled()), circle(RADIUS + 10, ring)])?;
                }
            }
        }
        let named = self.marks.iter().filter_map(|mark| {
            let name = mark.name.as_ref()?;
            Some((name, plot.backend_coord(&mark.at)))
        });
        let labels: Vec<_> = named
            .map(|(name, center)| (name, places.label(center, name)))
            .collect();
        drop(plot);
        let style = ("sans-serif", FONT).into_font().color(&INK);
        for (name, at) in labels {
            root.draw(&Text::new(name.clone(), at, &style))?;
        }
        root.present()?;
        Ok(())
    }
}
