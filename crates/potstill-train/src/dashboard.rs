//! A terminal dashboard.

mod draw;
mod screen;
mod state;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::progress::line;
use crate::{Callback, Event, Flow, Progress};
use screen::Screen;
use state::State;

/// Drawing more often than this only costs time.
const PAUSE: Duration = Duration::from_millis(100);

/// Shows a run on the whole terminal: the loss as a curve, rates, memory, evaluations, the last
/// sample and the time that is left.
///
/// The terminal comes back when the run ends or panics. The first Ctrl-C (or `SIGTERM`) gives it back
/// and ends the run after the step that is under way, with a checkpoint if it has a folder; the second
/// ends the process.
/// Where standard output or error is no terminal, it is [`Progress`].
#[derive(Debug)]
pub struct Dashboard(View);

#[derive(Debug)]
enum View {
    Screen {
        screen: Screen,
        state: Box<State>,
        drawn: Option<Instant>,
    },
    Lines(Progress),
}

impl Dashboard {
    /// On the terminal that the program runs in.
    #[must_use]
    pub fn stderr() -> Self {
        if !(std::io::stderr().is_terminal() && std::io::stdout().is_terminal()) {
            return Self(View::Lines(Progress::stderr()));
        }
        match Screen::open() {
            Ok(screen) => Self(View::Screen {
                screen,
                state: Box::default(),
                drawn: None,
            }),
            Err(error) => {
                tracing::warn!(%error, "the dashboard cannot use this terminal");
                Self(View::Lines(Progress::stderr()))
            }
        }
    }
}

impl Callback for Dashboard {
    fn on_event(&mut self, event: &Event<'_>) -> Flow {
        let (screen, state, drawn) = match &mut self.0 {
            View::Lines(progress) => return progress.on_event(event),
            View::Screen {
                screen,
                state,
                drawn,
            } => (screen, state, drawn),
        };
        state.observe(event);
        match event {
            Event::Finished(_) | Event::Failed { .. } => {
                screen.close();
                if let Some(line) = line(event) {
                    // A closed pipe must not end the training.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            _ if drawn.is_none_or(|at| at.elapsed() >= PAUSE) => {
                screen.draw(|frame| draw::draw(frame, state));
                *drawn = Some(Instant::now());
            }
            _ => {}
        }
        if screen.is_interrupted() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}
