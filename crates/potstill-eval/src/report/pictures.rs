//! The pictures of a page, with what explains them.

use serde::Serialize;

use super::Report;
use crate::number::{percent, significant, thousands};
use crate::{Chart, Error, Pareto, Standing};

#[derive(Debug, Serialize)]
pub(super) struct Picture {
    title: String,
    /// What it shows, for those who cannot see it.
    description: String,
    svg: Option<String>,
    notes: Vec<String>,
    legend: Vec<(String, String)>,
}

impl Picture {
    pub(super) fn of_chart(chart: &Chart) -> Result<Self, Error> {
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
            title: chart.title.clone(),
            description: format!("{} over the steps of the run", chart.title),
            svg: chart.to_svg()?,
            notes,
            legend: names
                .map(|(index, series)| (Chart::color(index), series.name.clone()))
                .collect(),
        })
    }

    fn of_pareto(pareto: &Pareto, chosen: Option<&str>) -> Result<Self, Error> {
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (point, standing) in pareto.points.iter().zip(pareto.standings()) {
            let group = match standing {
                Standing::Front { tied: false } => continue,
                Standing::Front { tied: true } => "On the front, tied".into(),
                Standing::Dominated {
                    by,
                    within_noise: true,
                } => format!("Dominated by {by}, within noise"),
                Standing::Dominated { by, .. } => format!("Dominated by {by}"),
                Standing::Unplaced => "Not drawn, since a number is missing".into(),
            };
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, names)) => names.push(&point.name),
                None => groups.push((group, vec![&point.name])),
            }
        }
        let notes = groups
            .into_iter()
            .map(|(group, names)| format!("{group}: {}.", names.join(", ")));
        let front: Vec<String> = pareto.front().map(|point| point.name.clone()).collect();
        Ok(Self {
            title: pareto.title(),
            description: format!("{}; on the front: {}", pareto.title(), front.join(", ")),
            svg: pareto.to_svg(chosen)?,
            notes: notes.collect(),
            legend: Vec::new(),
        })
    }
}

impl Report {
    /// Quality against cost; the smallest model that passes the gates is marked.
    pub(super) fn pareto_pictures(&self) -> Result<Vec<Picture>, Error> {
        let chosen = self.viable.as_ref().and_then(|viable| viable.smallest());
        let chosen = chosen.map(|judged| judged.name.as_str());
        self.paretos
            .iter()
            .map(|pareto| Picture::of_pareto(pareto, chosen))
            .collect()
    }

    /// A reliability diagram for each model that has one.
    pub(super) fn reliability_pictures(&self) -> Result<Vec<Picture>, Error> {
        let known = self
            .models
            .iter()
            .filter_map(|model| Some((&model.name, model.calibration.as_ref()?)));
        known
            .map(|(name, found)| {
                let note = format!(
                    "ECE {} ({} by chance alone), worst bin {}, Brier score {}; {} % sure and {} % right on \
                     {} answers.",
                    significant(found.expected_error),
                    significant(found.expected_error_by_chance),
                    significant(found.maximum_error),
                    significant(found.brier),
                    percent(found.confidence),
                    percent(found.accuracy),
                    thousands(found.items as u64)
                );
                Ok(Picture {
                    title: name.clone(),
                    description: format!("Reliability of {name}"),
                    svg: Some(found.to_svg()?),
                    notes: vec![note],
                    legend: Vec::new(),
                })
            })
            .collect()
    }
}
