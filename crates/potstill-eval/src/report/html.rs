//! The report as one HTML page without scripts, fonts or anything else from elsewhere.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::rows::Row;
use super::summary::KeyFigure;
use super::{ModelReport, ModelRole, Report};
use crate::{Chart, Comparison, Error, Profile, Provenance, Sample};

/// Rendered under a name that ends in `.html`, so that every value is escaped.
const TEMPLATE: &str = include_str!("report.html.jinja");

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    description: &'a str,
    summary: String,
    figures: Vec<KeyFigure>,
    models: Vec<Column<'a>>,
    rows: Vec<Row>,
    comparison: Option<&'a Comparison>,
    /// Any profile: all are measured alike.
    profiled: Option<&'a Profile>,
    pictures: Vec<Picture<'a>>,
    samples: &'a [Sample],
    provenance: &'a Provenance,
    config: Option<String>,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    role: &'static str,
}

#[derive(Serialize)]
struct Picture<'a> {
    title: &'a str,
    svg: Option<String>,
    notes: Vec<String>,
    legend: Vec<(String, &'a str)>,
}

impl Report {
    /// The report as an HTML page.
    ///
    /// # Errors
    ///
    /// When a chart cannot be drawn.
    pub fn to_html(&self) -> Result<String, Error> {
        let pictures = self
            .charts
            .iter()
            .map(Picture::of)
            .collect::<Result<Vec<_>, _>>()?;
        let config = &self.provenance.config;
        let config = (!config.is_null())
            .then(|| serde_json::to_string_pretty(config).map_err(Error::Serialize))
            .transpose()?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?;
        environment.set_syntax(syntax);
        environment.add_template("report.html", TEMPLATE)?;
        let page = Page {
            title: &self.title,
            description: &self.description,
            summary: self.summary(),
            figures: self.key_figures(),
            models: self.models.iter().map(Column::of).collect(),
            rows: self.rows(),
            comparison: self.comparison.as_ref(),
            profiled: self.models.iter().find_map(|model| model.profile.as_ref()),
            pictures,
            samples: &self.samples,
            provenance: &self.provenance,
            config,
        };
        Ok(environment
            .get_template("report.html")?
            .render(Serde(&page))?)
    }
}

impl<'a> Column<'a> {
    fn of(model: &'a ModelReport) -> Self {
        let role = match model.role {
            ModelRole::Teacher => "teacher",
            ModelRole::Student => "distilled student",
            ModelRole::Undistilled => "before distillation",
            ModelRole::Baseline => "no teacher",
            ModelRole::Other => "",
        };
        Self {
            name: &model.name,
            role,
        }
    }
}

impl<'a> Picture<'a> {
    fn of(chart: &'a Chart) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let merged = chart.values_per_point();
        if merged > 1 {
            notes.push(format!("Each point is the mean of {merged} logged values."));
        }
        match chart.gaps() {
            0 => {}
            1 => notes.push("1 value is not finite and is left out.".into()),
            gaps => notes.push(format!("{gaps} values are not finite and are left out.")),
        }
        let several = chart.series.len() > 1;
        let names = chart.series.iter().enumerate().filter(|_| several);
        Ok(Self {
            title: &chart.title,
            svg: chart.to_svg()?,
            notes,
            legend: names
                .map(|(index, series)| (Chart::color(index), series.name.as_str()))
                .collect(),
        })
    }
}
