//! What the dashboard looks like.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Wrap};

use super::state::State;

pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let [progress, middle, sample] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(8),
        Constraint::Length(6),
    ])
    .areas(frame.area());
    let [curve, numbers] =
        Layout::horizontal([Constraint::Min(20), Constraint::Length(36)]).areas(middle);
    draw_progress(frame, progress, state);
    draw_curve(frame, curve, state);
    draw_numbers(frame, numbers, state);
    draw_sample(frame, sample, state);
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let left = state
        .left()
        .map_or(String::new(), |left| format!(", {} left", clock(left)));
    let ratio = state.step as f64 / state.total_steps.max(1) as f64;
    let gauge = Gauge::default()
        .block(Block::bordered().title(" run "))
        .gauge_style(Style::new().fg(Color::Cyan))
        .label(format!(
            "step {} of {}{left}",
            state.step, state.total_steps
        ))
        .ratio(ratio.clamp(0.0, 1.0));
    frame.render_widget(gauge, area);
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low < high {
            [low, high]
        } else {
            [low, low + 1.0]
        }
    };
    let points = &state.losses;
    if points.is_empty() {
        frame.render_widget(Block::bordered().title(" loss "), area);
        return;
    }
    let steps = bounds(&mut points.iter().map(|point| point.0));
    let losses = bounds(&mut points.iter().map(|point| point.1));
    let curve = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(Color::Yellow))
        .data(points);
    let labels = |[low, high]: [f64; 2], digits: usize| {
        [format!("{low:.digits$}"), format!("{high:.digits$}")]
    };
    let chart = Chart::new(vec![curve])
        .block(Block::bordered().title(" loss "))
        .x_axis(Axis::default().bounds(steps).labels(labels(steps, 0)))
        .y_axis(Axis::default().bounds(losses).labels(labels(losses, 3)));
    frame.render_widget(chart, area);
}

fn draw_numbers(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: String| lines.push(Line::from(format!("{name:<16}{value}")));
    if let Some((report, vitals, learning_rate)) = &state.last {
        add("loss", format!("{:.4}", report.loss));
        for term in &report.terms {
            add(&format!("  {}", term.name), format!("{:.4}", term.mean));
        }
        add("gradient norm", format!("{:.3}", report.grad_norm));
        add("learning rate", format!("{learning_rate:.2e}"));
        add("tokens/s", format!("{:.0}", vitals.tokens_per_second));
        add("rows/s", format!("{:.0}", vitals.rows_per_second));
        if let Some(utilization) = vitals.utilization {
            add("utilization", format!("{:.1} %", 100.0 * utilization));
        }
        if let Some((now, peak)) = vitals.memory.zip(vitals.peak_memory) {
            add(
                "memory",
                format!("{:.2} GB, peak {:.2}", gigabytes(now), gigabytes(peak)),
            );
        }
    }
    if let Some((step, metrics, is_best)) = &state.evaluation {
        let best = if *is_best { ", the best" } else { "" };
        lines.push(Line::from(format!("evaluated at {step}{best}")));
        let metrics = metrics.iter();
        lines.extend(metrics.map(|(name, value)| Line::from(format!("  {name:<14}{value:.4}"))));
    }
    if !state.note.is_empty() {
        lines.push(Line::from(state.note.as_str()));
    }
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" now ")),
        area,
    );
}

fn draw_sample(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let (title, text) = state.sample.as_ref().map_or_else(
        || (" sample ".to_owned(), String::new()),
        |(step, sample)| {
            let title = format!(" sample at step {step} ");
            (title, format!("{} -> {}", sample.prompt, sample.text))
        },
    );
    let sample = Paragraph::new(text)
        .wrap(Wrap { trim: true })
        .block(Block::bordered().title(title));
    frame.render_widget(sample, area);
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Metrics, Sample, StepReport, TermReport, Vitals};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    fn state(steps: usize) -> State {
        let mut state = State::default();
        state.observe(&Event::Started {
            step: 0,
            total_steps: 4000,
        });
        for step in 1..=steps {
            let loss = 1.0 / step as f64;
            let report = StepReport {
                loss,
                terms: vec![TermReport {
                    name: "forward_kl".into(),
                    weight: 1.0,
                    mean: loss,
                }],
                grad_norm: 2.5,
                rows: 10,
                row_weight: 10.0,
                tokens: 20,
            };
            let vitals = Vitals::of_step(Duration::from_millis(500), &report, &[], None);
            state.observe(&Event::Step {
                step,
                total_steps: 4000,
                learning_rate: 1e-3,
                report: &report,
                vitals: &vitals,
                logged: true,
            });
        }
        let metrics = Metrics::from([("kl".into(), 0.25)]);
        state.observe(&Event::Evaluated {
            step: steps,
            metrics: &metrics,
            is_best: true,
        });
        let samples = [Sample {
            prompt: "2 + 2 =".into(),
            text: " 4".into(),
        }];
        state.observe(&Event::Sampled {
            step: steps,
            samples: &samples,
        });
        state
    }

    #[test]
    fn everything_is_on_the_screen() {
        let screen = screen(&state(3000), 100, 30);
        for words in [
            "step 3000 of 4000",
            "left",
            "forward_kl",
            "gradient norm   2.500",
            "learning rate   1.00e-3",
            "tokens/s        40",
            "rows/s          20",
            "evaluated at 3000, the best",
            "sample at step 3000",
            "2 + 2 = ->  4",
            "3000",
        ] {
            assert!(screen.contains(words), "{words}\n{screen}");
        }
        assert!(
            screen
                .chars()
                .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
            "no curve\n{screen}"
        );
    }

    #[test]
    fn any_size_and_nothing_known_can_be_drawn() {
        for (width, height) in [(1, 1), (7, 3), (40, 12), (300, 90)] {
            screen(&State::default(), width, height);
            screen(&state(2), width, height);
        }
    }

    #[test]
    fn a_long_run_keeps_few_points() {
        let state = state(20_000);
        assert!(state.losses.len() < 1024, "{}", state.losses.len());
        let last = state.losses.last().unwrap().0;
        assert!(last > 19_900.0, "{last}");
    }
}
