//! What came out, as tables in Markdown and pictures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::job::{Arm, Outcome, Task};
use crate::picture::{Dots, draw};
use crate::plan::Effort;
use crate::pool::{Journal, write};
use crate::statistics::{Mean, Paired, gap_closed};

/// Arms of a task by seed, and where the teacher stands.
pub(crate) struct TaskReport {
    task: Task,
    metric: &'static str,
    /// What the teacher reaches.
    ceiling: f64,
    rows: Vec<Row>,
}

/// One arm.
struct Row {
    arm: Arm,
    learning_rate: f64,
    values: Vec<f64>,
    mean: Mean,
    /// Absent for the arm from which the gap is counted.
    gap_closed: Option<Mean>,
    /// Against forward KL.
    paired: Option<Paired>,
    student_seconds: f64,
    teacher_seconds: f64,
    teacher_positions: usize,
    others: Vec<f64>,
}

/// Metrics that are reported besides, and how tables call them.
fn others(task: Task) -> &'static [(&'static str, &'static str)] {
    match task {
        Task::Addition => &[],
        Task::Language => &[
            ("forward_kl", "KL to the teacher, nats"),
            ("student_nll", "loss on the text, nats"),
        ],
    }
}

impl TaskReport {
    pub(crate) fn new(
        task: Task,
        ceiling: BTreeMap<String, f64>,
        effort: &Effort,
        journal: &Journal,
    ) -> Result<Self> {
        let metric = match task {
            Task::Addition => "exact_match",
            Task::Language => "top1_agreement",
        };
        let ceiling = ceiling[metric];
        let values = |arm| -> Result<Vec<f64>> {
            let outcomes = effort.outcomes(task, arm, journal)?;
            outcomes
                .iter()
                .map(|outcome| value(outcome, metric))
                .collect()
        };
        let (labels, forward) = (values(Arm::LabelsOnly)?, values(Arm::ForwardKl)?);
        let row = |arm| -> Result<Row> {
            let outcomes = effort.outcomes(task, arm, journal)?;
            let values = values(arm)?;
            let closed: Vec<f64> = values
                .iter()
                .zip(&labels)
                .map(|(&value, &base)| gap_closed(value, base, ceiling))
                .collect();
            let mean_of = |cost: fn(&Outcome) -> f64| {
                outcomes.iter().map(|outcome| cost(outcome)).sum::<f64>() / outcomes.len() as f64
            };
            let others = others(task).iter().map(|(name, _)| {
                let values = outcomes.iter().map(|outcome| value(outcome, name));
                let values = values.collect::<Result<Vec<f64>>>()?;
                Ok(values.iter().sum::<f64>() / values.len() as f64)
            });
            Ok(Row {
                arm,
                learning_rate: effort.best_rate(task, arm, journal)?,
                mean: Mean::of(&values)?,
                gap_closed: (arm != Arm::LabelsOnly)
                    .then(|| Mean::of(&closed))
                    .transpose()?,
                paired: (arm != Arm::ForwardKl)
                    .then(|| Paired::of(&values, &forward))
                    .transpose()?,
                student_seconds: mean_of(|outcome| outcome.student_seconds),
                teacher_seconds: mean_of(|outcome| outcome.teacher_seconds),
                teacher_positions: outcomes[0].teacher_positions,
                others: others.collect::<Result<_>>()?,
                values,
            })
        };
        Ok(Self {
            task,
            metric,
            ceiling,
            rows: Arm::of(task).into_iter().map(row).collect::<Result<_>>()?,
        })
    }

    /// The table of the arms and what follows from it.
    pub(crate) fn markdown(&self) -> Result<String> {
        let mut text = String::new();
        let others = others(self.task);
        write!(
            text,
            "| arm | learning rate | {}, % | gap closed, % |",
            self.name()
        )?;
        write!(text, " against forward KL, points | better in |")?;
        for (_, title) in others {
            write!(text, " {title} |")?;
        }
        writeln!(text, " student, s | teacher, s | teacher read |")?;
        let columns = 9 + others.len();
        writeln!(text, "|---|{}", "---:|".repeat(columns - 1))?;
        for row in &self.rows {
            write!(
                text,
                "| {} | {:.0e} | {} |",
                row.arm.title(self.task),
                row.learning_rate,
                percent(row.mean)
            )?;
            match row.gap_closed {
                Some(closed) => write!(text, " {} |", percent(closed))?,
                None => write!(text, " |")?,
            }
            match row.paired {
                Some(Paired { difference, wins }) => write!(
                    text,
                    " {:+.1} ± {:.1} | {wins} of {} |",
                    100.0 * difference.value,
                    100.0 * difference.margin,
                    row.values.len()
                )?,
                None => write!(text, " | |")?,
            }
            for other in &row.others {
                write!(text, " {other:.3} |")?;
            }
            writeln!(
                text,
                " {:.0} | {:.0} | {} |",
                row.student_seconds, row.teacher_seconds, row.teacher_positions
            )?;
        }
        writeln!(
            text,
            "\nThe teacher reaches {:.1} %. Means over {} seeds with 95 % intervals (Student's t); seconds of processor time.\n",
            100.0 * self.ceiling,
            self.rows[0].values.len()
        )?;
        let best = self.best()?;
        let closed = best.gap_closed.context("the best arm has a teacher")?;
        writeln!(
            text,
            "Best arm with a teacher: {}, which closes {} % of the gap between labels only and the teacher; \
             at least 60 % was wanted: {}.",
            best.arm.title(self.task),
            percent(closed),
            if closed.value >= 0.6 {
                "reached"
            } else {
                "missed"
            },
        )?;
        Ok(text)
    }

    /// The arm with a teacher that does best.
    fn best(&self) -> Result<&Row> {
        self.rows
            .iter()
            .filter(|row| !matches!(row.arm, Arm::LabelsOnly | Arm::GoldAnswers))
            .max_by(|a, b| a.mean.value.total_cmp(&b.mean.value))
            .context("a task has arms with a teacher")
    }

    /// Draws every seed, mean and interval.
    pub(crate) fn picture(&self, path: &Path) -> Result<()> {
        let dots: Vec<Dots> = self
            .rows
            .iter()
            .map(|row| Dots {
                title: row.arm.title(self.task).to_owned(),
                values: row.values.iter().map(|value| 100.0 * value).collect(),
                low: 100.0 * row.mean.low(),
                mean: 100.0 * row.mean.value,
                high: 100.0 * row.mean.high(),
            })
            .collect();
        let label = format!("{}, % (line: the teacher)", self.name());
        write(path, &draw(&dots, 100.0 * self.ceiling, &label)?)
    }

    fn name(&self) -> &'static str {
        match self.metric {
            "exact_match" => "exact match",
            _ => "same first choice as the teacher",
        }
    }
}

fn value(outcome: &Outcome, metric: &str) -> Result<f64> {
    let value = outcome.test.get(metric);
    value
        .copied()
        .with_context(|| format!("{metric} was not measured"))
}

fn percent(mean: Mean) -> String {
    format!("{:.1} ± {:.1}", 100.0 * mean.value, 100.0 * mean.margin)
}

/// Puts `text` between the two marks of `page`.
pub(crate) fn put_between(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let place = || format!("the page has no marks {} and {end}", begin.trim_end());
    let start = page.find(&begin).with_context(place)? + begin.len();
    let stop = start + page[start..].find(&end).with_context(place)?;
    Ok(format!("{}{text}{}", &page[..start], &page[stop..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_replaces_the_one_before() {
        let page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
        let put = put_between(page, "x", "new\n").unwrap();
        assert_eq!(put, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n");
        let error = put_between(page, "y", "").unwrap_err().to_string();
        assert!(error.contains("y:begin"), "{error}");
    }
}
