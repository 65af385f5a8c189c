//! A family's picture: the fits above, value and gradient against one logit below.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::families::Family;
use crate::fit::{Axis, Fit};
use crate::sweep::{REACH, Sweep, TOKEN_PROBABILITY};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Curve = Vec<(f64, f64)>;

/// Twice the size that a page shows: coordinates of the backend are whole pixels.
const SIZE: (u32, u32) = (1920, 1410);
const TITLE_HEIGHT: u32 = 120;
const FITS_HEIGHT: u32 = 640;
const HEADER_HEIGHT: u32 = 100;

const INK: RGBColor = RGBColor(34, 34, 34);
const GRID: RGBColor = RGBColor(228, 228, 228);
const TEACHER_FILL: RGBColor = RGBColor(216, 216, 216);
const TEACHER_LINE: RGBColor = RGBColor(130, 130, 130);

/// Blue, vermillion, green and purple of Okabe and Ito, which color-blind readers tell apart.
const COLORS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(176, 84, 140),
];

const KEY: &str = "gray: a teacher with two modes; solid: the Gaussian student fitted to it; \
                   dashed: where descent ends from other starts; below, the same colors";

/// The picture as SVG.
pub(crate) fn draw(
    family: &Family,
    panels: &[(Vec<Fit>, Sweep)],
    axis: &Axis,
    teacher: &[f64],
) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // Text stays legible on a dark page.
        root.fill(&WHITE)?;
        let (title, rest) = root.split_vertically(TITLE_HEIGHT);
        write_centered(&title, family.title, &text(46), 22)?;
        write_centered(&title, KEY, &text(28), 82)?;
        let (above, below) = rest.split_vertically(FITS_HEIGHT);
        draw_fits(&above, family, panels, axis, teacher)?;
        let (left, right) = below.split_horizontally(SIZE.0 / 2);
        let values: Vec<&Curve> = panels.iter().map(|(_, sweep)| &sweep.value).collect();
        draw_curves(&left, "value", &values)?;
        let gradients: Vec<&Curve> = panels.iter().map(|(_, sweep)| &sweep.gradient).collect();
        draw_curves(&right, "gradient with respect to the logit", &gradients)?;
        root.present()?;
    }
    Ok(svg)
}

fn draw_fits(
    area: &Area<'_>,
    family: &Family,
    panels: &[(Vec<Fit>, Sweep)],
    axis: &Axis,
    teacher: &[f64],
) -> Result<()> {
    let teacher = axis.density(teacher);
    let students: Vec<Vec<Curve>> = panels
        .iter()
        .map(|(fits, _)| {
            fits.iter()
                .map(|fit| axis.density(&fit.logits(axis)))
                .collect()
        })
        .collect();
    // One scale, so that heights compare.
    let curves = students.iter().flatten().chain([&teacher]);
    let top = 1.08 * curves.flatten().map(|(_, y)| *y).fold(0.0, f64::max);
    let columns = area.split_evenly((1, panels.len()));
    for (index, column) in columns.iter().enumerate() {
        let best = &panels[index].0[0];
        let (header, body) = column.split_vertically(HEADER_HEIGHT);
        let color = COLORS[index];
        let name = ("sans-serif", 34, FontStyle::Bold)
            .into_font()
            .color(&color);
        write_centered(&header, family.members[index].label, &name, 14)?;
        let subtitle = format!(
            "mean {}, std {:.2}, value {:.3}",
            number(best.mean, 2),
            best.deviation,
            best.value
        );
        write_centered(&header, &subtitle, &text(26), 58)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .x_label_area_size(44)
            .build_cartesian_2d(axis.positions[0]..-axis.positions[0], 0.0..top)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(INK)
            .x_labels(9)
            .x_label_formatter(&|x| number(*x, 0))
            .label_style(text(26))
            .draw()?;
        let ends = [(-axis.positions[0], 0.0), (axis.positions[0], 0.0)];
        let outline: Curve = teacher.iter().copied().chain(ends).collect();
        chart.draw_series([Polygon::new(outline, TEACHER_FILL.filled())])?;
        chart.draw_series(LineSeries::new(
            teacher.clone(),
            TEACHER_LINE.stroke_width(2),
        ))?;
        for other in &students[index][1..] {
            let dashes = DashedLineSeries::new(other.clone(), 14, 10, color.stroke_width(3));
            chart.draw_series(dashes)?;
        }
        chart.draw_series(LineSeries::new(
            students[index][0].clone(),
            color.stroke_width(6),
        ))?;
    }
    Ok(())
}

/// Curves against the student's logit, in the colors of the fits.
fn draw_curves(area: &Area<'_>, title: &str, curves: &[&Curve]) -> Result<()> {
    let (header, body) = area.split_vertically(HEADER_HEIGHT / 2);
    write_centered(&header, title, &text(34), 10)?;
    let heights = || {
        curves
            .iter()
            .flat_map(|curve| curve.iter())
            .map(|(_, y)| *y)
    };
    let (low, high) = (heights().fold(0.0, f64::min), heights().fold(0.0, f64::max));
    let margin = 0.06 * (high - low);
    let decimals = if high - low < 1.0 { 2 } else { 1 };
    let mut chart = ChartBuilder::on(&body)
        .margin(20)
        .x_label_area_size(84)
        .y_label_area_size(100)
        .build_cartesian_2d(-REACH..REACH, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(9)
        .y_labels(7)
        .x_label_formatter(&|x| number(*x, 0))
        .y_label_formatter(&|y| number(*y, decimals))
        .x_desc(format!(
            "student's logit minus teacher's, of a token with p = {TOKEN_PROBABILITY}"
        ))
        .label_style(text(26))
        .axis_desc_style(text(28))
        .draw()?;
    let zero = [(-REACH, 0.0), (REACH, 0.0)];
    chart.draw_series(LineSeries::new(zero, INK.stroke_width(2)))?;
    for (curve, color) in curves.iter().zip(COLORS) {
        chart.draw_series(LineSeries::new(
            curve.iter().copied(),
            color.stroke_width(5),
        ))?;
    }
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn write_centered(area: &Area<'_>, line: &str, style: &TextStyle<'_>, y: i32) -> Result<()> {
    let (width, _) = area.dim_in_pixel();
    let style = style.pos(Pos::new(HPos::Center, VPos::Top));
    area.draw(&Text::new(
        line.to_owned(),
        (width.cast_signed() / 2, y),
        style,
    ))?;
    Ok(())
}

/// A number with a minus sign proper, and none before a 0.
fn number(value: f64, decimals: usize) -> String {
    let scale = 10f64.powi(decimals as i32);
    let rounded = (value * scale).round() / scale + 0.0;
    format!("{rounded:.decimals$}").replace('-', "−")
}
