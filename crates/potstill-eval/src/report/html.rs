//! The report as one HTML page without scripts, fonts or anything else from elsewhere.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, HtmlEscape, UndefinedBehavior};
use serde::Serialize;

use super::categories::CategoryTable;
use super::pictures::Picture;
use super::rows::Row;
use super::summary::KeyFigure;
use super::{ModelReport, ModelRole, Report};
use crate::number::{significant, thousands};
use crate::{Comparison, Error, GateReport, Profile, Provenance, Sample, Suggestion};

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
    quality: Vec<Row>,
    comparison: Option<&'a Comparison>,
    paretos: Vec<Picture>,
    judged: Vec<JudgedRow<'a>>,
    suggestions: &'a [Suggestion],
    categories: Vec<CategoryTable>,
    reliability: Vec<Picture>,
    costs: Vec<Row>,
    /// Any profile: all are measured alike.
    profiled: Option<&'a Profile>,
    pictures: Vec<Picture>,
    samples: &'a [Sample],
    gates: &'a [GateReport],
    provenance: &'a Provenance,
    config: Option<String>,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    role: &'static str,
}

/// A candidate before the gates.
#[derive(Serialize)]
struct JudgedRow<'a> {
    name: &'a str,
    parameters: String,
    megabytes: String,
    verdict: &'static str,
    reasons: Vec<String>,
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
            .map(Picture::of_chart)
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
        environment.add_filter("significant", significant);
        environment.add_filter("code", code);
        environment.add_template("report.html", TEMPLATE)?;
        let page = Page {
            title: &self.title,
            description: &self.description,
            summary: self.summary(),
            figures: self.key_figures(),
            models: self.models.iter().map(Column::of).collect(),
            quality: self.quality_rows(),
            comparison: self.comparison.as_ref(),
            paretos: self.pareto_pictures()?,
            judged: self.judged_rows(),
            suggestions: &self.suggestions,
            categories: self.categories(),
            reliability: self.reliability_pictures()?,
            costs: self.cost_rows(),
            profiled: self.models.iter().find_map(|model| model.profile.as_ref()),
            pictures,
            samples: &self.samples,
            gates: &self.gates,
            provenance: &self.provenance,
            config,
        };
        Ok(environment
            .get_template("report.html")?
            .render(Serde(&page))?)
    }

    fn judged_rows(&self) -> Vec<JudgedRow<'_>> {
        let Some(viable) = &self.viable else {
            return Vec::new();
        };
        let smallest = viable.smallest();
        let candidates = viable.candidates.iter();
        candidates
            .map(|judged| JudgedRow {
                name: &judged.name,
                parameters: thousands(judged.parameters),
                megabytes: significant(judged.parameter_bytes as f64 / 1e6),
                verdict: match (judged.passed(), smallest == Some(judged)) {
                    (_, true) => "passes, the smallest that does",
                    (true, false) => "passes",
                    (false, false) => "fails",
                },
                reasons: judged.reasons(),
            })
            .collect()
    }
}

/// Text in which what stands between backticks is code.
fn code(text: &str) -> Value {
    let parts = text.split('`').enumerate().map(|(n, part)| {
        let escaped = HtmlEscape(part);
        match n % 2 {
            0 => escaped.to_string(),
            _ => format!("<code>{escaped}</code>"),
        }
    });
    Value::from_safe_string(parts.collect())
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
