//! A built-in observer for people.

use std::fmt;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{Callback, Event, Flow, Metrics, Sample};

/// Shows how a run gets on: a bar on a terminal, plain lines anywhere else.
///
/// Only a run that is given one writes anything.
pub struct Progress(Display);

enum Display {
    Bar(ProgressBar),
    Lines(Box<dyn Write + Send>),
}

impl Progress {
    /// On standard error.
    #[must_use]
    pub fn stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self(Display::Bar(ProgressBar::new(0).with_style(style())))
        } else {
            Self::lines(std::io::stderr())
        }
    }

    /// Plain lines, one for each step that is logged.
    #[must_use]
    pub fn lines(writer: impl Write + Send + 'static) -> Self {
        Self(Display::Lines(Box::new(writer)))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Display::Bar(_) => "bar",
            Display::Lines(_) => "lines",
        };
        f.debug_tuple("Progress").field(&kind).finish()
    }
}

impl Callback for Progress {
    fn on_event(&mut self, event: &Event<'_>) -> Flow {
        match &mut self.0 {
            Display::Bar(bar) => update(bar, event),
            Display::Lines(writer) => {
                if let Some(line) = line(event) {
                    // A closed pipe must not end the training.
                    let _ = writeln!(writer, "{line}");
                }
            }
        }
        Flow::Continue
    }
}

fn style() -> ProgressStyle {
    let template = "{bar:30} {pos}/{len} {msg} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn update(bar: &ProgressBar, event: &Event<'_>) {
    match event {
        Event::Started { step, total_steps } => {
            bar.set_length(*total_steps as u64);
            bar.set_position(*step as u64);
            bar.reset_eta();
        }
        Event::Step { step, .. } => {
            bar.set_position(*step as u64);
            if let Some(line) = line(event) {
                bar.set_message(line);
            }
        }
        Event::Evaluated { .. } | Event::Sampled { .. } | Event::Halved { .. } => {
            if let Some(line) = line(event) {
                bar.println(line);
            }
        }
        // Unlike `finish`, leaves the bar where a run that stopped early got to.
        Event::Finished(_) | Event::Failed { .. } => bar.abandon(),
        Event::Saved { .. } => {}
    }
}

/// One line about an event that people want to read of.
pub(crate) fn line(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Step {
            step,
            total_steps,
            learning_rate,
            report,
            vitals,
            logged: true,
        } => {
            let rate = vitals.tokens_per_second;
            Some(format!(
                "step {step}/{total_steps}  loss {:.4}  grad norm {:.3}  lr {learning_rate:.2e}  {rate:.0} tokens/s",
                report.loss, report.grad_norm
            ))
        }
        Event::Evaluated {
            step,
            metrics,
            is_best,
        } => {
            let best = if *is_best { "  (best so far)" } else { "" };
            Some(format!("step {step}  {}{best}", listed(metrics)))
        }
        Event::Sampled { step, samples } => {
            let Sample { prompt, text } = samples.first()?;
            Some(format!("step {step}  {prompt:?} -> {text:?}"))
        }
        Event::Halved {
            step,
            micro_batches,
        } => Some(format!(
            "step {step}  memory ran out, going on with {micro_batches} micro-batches"
        )),
        Event::Finished(outcome) => Some(format!("{} steps, {:?}", outcome.steps, outcome.reason)),
        _ => None,
    }
}

fn listed(metrics: &Metrics) -> String {
    let entries: Vec<String> = metrics
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    entries.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StepReport, TermReport, Vitals};
    use std::time::Duration;

    fn report() -> StepReport {
        StepReport {
            loss: 0.5,
            terms: vec![TermReport {
                name: "kl".into(),
                weight: 1.0,
                mean: 0.5,
            }],
            grad_norm: 2.0,
            rows: 10,
            row_weight: 10.0,
            tokens: 20,
        }
    }

    #[test]
    fn a_logged_step_is_one_line() {
        let report = report();
        let vitals = Vitals::of_step(Duration::from_millis(500), &report, &[], None);
        let event = |logged| Event::Step {
            step: 3,
            total_steps: 9,
            learning_rate: 1e-3,
            report: &report,
            vitals: &vitals,
            logged,
        };
        assert_eq!(
            line(&event(true)).unwrap(),
            "step 3/9  loss 0.5000  grad norm 2.000  lr 1.00e-3  40 tokens/s"
        );
        assert_eq!(line(&event(false)), None);
    }

    #[test]
    fn an_evaluation_lists_its_metrics() {
        let metrics = Metrics::from([("kl".into(), 0.25), ("agreement".into(), 0.5)]);
        let event = Event::Evaluated {
            step: 4,
            metrics: &metrics,
            is_best: true,
        };
        assert_eq!(
            line(&event).unwrap(),
            "step 4  agreement 0.5000  kl 0.2500  (best so far)"
        );
    }
}
