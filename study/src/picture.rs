//! A picture of the arms: every seed, the mean and its interval.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
const SEEDS: RGBColor = RGBColor(0x8F, 0xB4, 0xDB);
const MEAN: RGBColor = RGBColor(0x1B, 0x4F, 0x8A);
const TEACHER: RGBColor = RGBColor(0xC2, 0x57, 0x1A);

/// An arm.
pub(crate) struct Dots {
    pub(crate) title: String,
    pub(crate) values: Vec<f64>,
    pub(crate) low: f64,
    pub(crate) mean: f64,
    pub(crate) high: f64,
}

/// Twice the size at which it is shown, since coordinates are whole pixels.
const WIDTH: u32 = 1600;
const ROW: u32 = 68;
const FONT: u32 = 30;

/// The picture as SVG; `ceiling` is a line across all arms.
pub(crate) fn draw(arms: &[Dots], ceiling: f64, label: &str) -> Result<String> {
    let mut svg = String::new();
    let drawn = draw_on(&mut svg, arms, ceiling, label);
    drawn.map_err(|error| anyhow!("cannot draw {label}: {error}"))?;
    Ok(svg)
}

fn draw_on(
    svg: &mut String,
    arms: &[Dots],
    ceiling: f64,
    label: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let rows = arms.len();
    let root = SVGBackend::with_string(svg, (WIDTH, ROW * rows as u32 + 130)).into_drawing_area();
    root.fill(&WHITE)?;
    let highest = arms.iter().map(|arm| arm.high).fold(ceiling, f64::max);
    let mut plot = ChartBuilder::on(&root)
        .margin(16)
        .margin_right(40)
        .x_label_area_size(90)
        .y_label_area_size(430)
        .build_cartesian_2d(0.0..highest * 1.02, -0.5..rows as f64 - 0.5)?;
    // The first arm is on top.
    let title = |place: &f64| {
        let row = rows as f64 - 1.0 - place;
        let is_row = (row - row.round()).abs() < 1e-6 && row > -0.5;
        let arm = is_row.then(|| arms.get(row.round() as usize)).flatten();
        arm.map_or(String::new(), |arm| arm.title.clone())
    };
    plot.configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(INK.stroke_width(2))
        .label_style(("sans-serif", FONT).into_font().color(&INK))
        .y_labels(2 * rows + 1)
        .y_label_formatter(&title)
        .x_desc(label)
        .draw()?;
    let across = [(ceiling, -0.5), (ceiling, rows as f64 - 0.5)];
    plot.draw_series(LineSeries::new(across, TEACHER.stroke_width(4)))?;
    for (row, arm) in arms.iter().enumerate() {
        let y = (rows - 1 - row) as f64;
        let interval = [(arm.low.max(0.0), y), (arm.high, y)];
        plot.draw_series(LineSeries::new(interval, MEAN.stroke_width(5)))?;
        let seeds = arm.values.iter();
        plot.draw_series(seeds.map(|&value| Circle::new((value, y - 0.22), 7, SEEDS.filled())))?;
        plot.draw_series([Circle::new((arm.mean, y), 11, MEAN.filled())])?;
    }
    drop(plot);
    root.present()?;
    Ok(())
}
