//! The findings in words, computed from the numbers.

use serde::Serialize;

use super::rows::range;
use super::{ModelReport, ModelRole, Report};
use crate::number::{NONE, percent, significant, thousands};
use crate::{GateReport, Profile, Share, Verdict};

/// A number that deserves a large print.
#[derive(Debug, Serialize)]
pub(super) struct KeyFigure {
    pub(super) value: String,
    pub(super) label: &'static str,
    /// Its interval, or why there is none.
    pub(super) detail: String,
}

impl Report {
    /// What was found, in a few sentences.
    #[must_use]
    pub fn summary(&self) -> String {
        let sentences = [
            self.accuracy_sentence(),
            self.gap_sentence(),
            self.held_out_sentence(),
            self.viable_sentence(),
        ];
        let found = sentences
            .into_iter()
            .flatten()
            .chain(self.gates.iter().map(gate_sentence))
            .collect::<Vec<_>>()
            .join(" ");
        if found.is_empty() {
            "Nothing was measured that compares student and teacher.".into()
        } else {
            found
        }
    }

    fn accuracy_sentence(&self) -> Option<String> {
        let comparison = self.comparison.as_ref()?;
        let smaller = self
            .ratio(|profile| profile.parameters as f64)
            .map(|times| match Ratio::of(times) {
                Ratio::Less(times) => format!(" with {times} times fewer parameters"),
                Ratio::Same => " with as many parameters".into(),
                Ratio::More(times) => format!(" with {times} times as many parameters"),
            })
            .unwrap_or_default();
        let Some(retained) = comparison.retained.value else {
            let reason = comparison
                .retained
                .reason
                .as_deref()
                .unwrap_or("it is undefined");
            return Some(format!("What the student keeps cannot be said: {reason}."));
        };
        let items = thousands(comparison.items as u64);
        let interval = comparison
            .retained
            .interval
            .map(|interval| format!("95 % interval {} %, ", range(interval)))
            .unwrap_or_default();
        Some(format!(
            "The student keeps {} % of the teacher's exact-match accuracy ({interval}{items} held-out \
             problems){smaller}.",
            percent(retained)
        ))
    }

    fn gap_sentence(&self) -> Option<String> {
        let share = self.comparison.as_ref()?.gap_closed.as_ref()?;
        let Some(closed) = share.value else {
            let reason = share.reason.as_deref().unwrap_or("it is undefined");
            return Some(format!(
                "The share of the gap that distillation closed is undefined: {reason}."
            ));
        };
        let value = percent(closed);
        let Some(interval) = share.interval else {
            let reason = share.reason.as_deref().unwrap_or("no interval");
            return Some(format!(
                "Whether distillation closed any of the gap between the teacher and the same student \
                 trained without it cannot be said: {value} % were measured, with {reason}."
            ));
        };
        let range = range(interval);
        Some(if interval.low > 0.0 {
            format!(
                "Distillation closed {value} % of the gap between the teacher and the same student \
                 trained without it (95 % interval {range} %)."
            )
        } else if interval.high < 0.0 {
            format!(
                "The same student trained without the teacher does better: distillation closed {value} % \
                 of the gap (95 % interval {range} %)."
            )
        } else {
            format!(
                "Whether distillation closed any of the gap between the teacher and the same student \
                 trained without it is not certain: {value} % were measured, the 95 % interval is {range} %."
            )
        })
    }

    fn held_out_sentence(&self) -> Option<String> {
        let now = self.model(ModelRole::Student)?.held_out?;
        let before = self
            .model(ModelRole::Undistilled)
            .and_then(|model| model.held_out);
        let (was_far, was_agreed) = match before {
            Some(before) => (
                format!(" ({} before distillation)", significant(before.forward_kl)),
                format!(" ({} % before)", percent(before.top1_agreement)),
            ),
            None => Default::default(),
        };
        Some(format!(
            "On {} held-out tokens its predictions are {} nats per token from the teacher's{was_far}, and \
             both hold the same token for the likeliest {} % of the time{was_agreed}.",
            thousands(now.rows as u64),
            significant(now.forward_kl),
            percent(now.top1_agreement),
        ))
    }

    fn viable_sentence(&self) -> Option<String> {
        let viable = self.viable.as_ref()?;
        let models = viable.candidates.len();
        Some(match viable.smallest() {
            Some(judged) => format!(
                "The smallest of {models} candidates that passes the gates is {}, with {} parameters in {} MB.",
                judged.name,
                thousands(judged.parameters),
                significant(judged.parameter_bytes as f64 / 1e6),
            ),
            None => format!("None of {models} candidates passes the gates."),
        })
    }

    /// The figures that stand at the top of the page.
    pub(super) fn key_figures(&self) -> Vec<KeyFigure> {
        let comparison = self.comparison.as_ref();
        let share = |share: &Share, label| KeyFigure {
            value: share
                .value
                .map_or_else(|| NONE.into(), |value| format!("{} %", percent(value))),
            label,
            detail: match (share.interval, &share.reason) {
                (Some(interval), _) => format!("95 % interval {} %", range(interval)),
                (None, Some(reason)) => reason.clone(),
                (None, None) => String::new(),
            },
        };
        let times =
            |[less, same, more]: [&'static str; 3], detail: &str, cost: fn(&Profile) -> f64| {
                self.ratio(cost).map(|times| {
                    let (times, label) = match Ratio::of(times) {
                        Ratio::Less(times) => (times, less),
                        Ratio::Same => (significant(1.0), same),
                        Ratio::More(times) => (times, more),
                    };
                    KeyFigure {
                        value: format!("{times} ×"),
                        label,
                        detail: detail.into(),
                    }
                })
            };
        let held_out = self
            .model(ModelRole::Student)
            .and_then(|student| student.held_out);
        let figures = [
            comparison.map(|found| share(&found.retained, "of the teacher's accuracy kept")),
            comparison
                .and_then(|found| found.gap_closed.as_ref())
                .map(|closed| share(closed, "of the gap closed by distillation")),
            held_out.map(|found| KeyFigure {
                value: significant(found.forward_kl),
                label: "nats per token to the teacher",
                detail: format!(
                    "forward KL on {} held-out tokens",
                    thousands(found.rows as u64)
                ),
            }),
            held_out.map(|found| KeyFigure {
                value: format!("{} %", percent(found.top1_agreement)),
                label: "top-1 agreement",
                detail: "same likeliest token as the teacher".into(),
            }),
            times(
                ["fewer parameters", "the parameters", "the parameters"],
                "teacher to student",
                |profile| profile.parameters as f64,
            ),
            times(
                ["shorter latency", "the latency", "the latency"],
                "median time of one answer, teacher to student",
                |profile| profile.latency_seconds,
            ),
        ];
        figures.into_iter().flatten().collect()
    }

    /// How many times the teacher costs what the student does.
    fn ratio(&self, cost: impl Fn(&Profile) -> f64) -> Option<f64> {
        let of = |role| {
            self.model(role)
                .and_then(|model: &ModelReport| model.profile.as_ref())
        };
        let (teacher, student) = (cost(of(ModelRole::Teacher)?), cost(of(ModelRole::Student)?));
        (student > 0.0).then(|| teacher / student)
    }
}

/// How many times less, or as much, a student costs than its teacher, as it is shown.
enum Ratio {
    Less(String),
    Same,
    More(String),
}

impl Ratio {
    /// Of the teacher's cost to the student's.
    fn of(times: f64) -> Self {
        let (less, more) = (significant(times), significant(1.0 / times));
        if less == more {
            Self::Same
        } else if times > 1.0 {
            Self::Less(less)
        } else {
            Self::More(more)
        }
    }
}

fn gate_sentence(report: &GateReport) -> String {
    let (model, gates) = (&report.model, report.outcomes.len());
    if report.verdict() == Verdict::Passed {
        return format!("{model} passes the gates, {gates} of {gates}.");
    }
    format!(
        "{model} does not pass the gates: of {gates}, {} failed and {} could not be judged.",
        report.count(Verdict::Failed),
        report.count(Verdict::Unjudged)
    )
}
