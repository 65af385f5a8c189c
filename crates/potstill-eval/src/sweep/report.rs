//! A sweep as a report.

use super::{MinimalViable, Sweep, SweepError};
use crate::{CostAxis, ModelReport, ModelRole, PairedOptions, Provenance, Report};

impl Sweep {
    /// A report on all candidates: results and costs of each, `metric` against every cost that is known,
    /// suggestions, and who is `viable`. The smallest that is takes the part of the student.
    ///
    /// # Errors
    ///
    /// As [`pareto`](Self::pareto) and [`suggestions`](Self::suggestions).
    pub fn report(
        &self,
        title: &str,
        description: &str,
        metric: &str,
        viable: MinimalViable,
        provenance: Provenance,
    ) -> Result<Report, SweepError> {
        let smallest = viable.smallest().map(|judged| judged.name.as_str());
        let model = |candidate| {
            let model = ModelReport::from(candidate);
            let role = match smallest == Some(&model.name) {
                true => ModelRole::Student,
                false => model.role,
            };
            ModelReport { role, ..model }
        };
        let models = self.candidates().iter().map(model).collect();
        let mut report = Report::new(title, description, models, provenance);
        for axis in [CostAxis::Size, CostAxis::Latency, CostAxis::Price] {
            let pareto = self.pareto(metric, axis)?;
            if pareto.front().next().is_some() {
                report.paretos.push(pareto);
            }
        }
        report.suggestions = self.suggestions(metric, &PairedOptions::new(0))?;
        report.viable = Some(viable);
        Ok(report)
    }
}
