//! The terminal, and giving it back.

use std::fmt;
use std::io::{self, Stderr, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use ratatui::backend::TermionBackend;
use ratatui::termion::screen::{AlternateScreen, IntoAlternateScreen};
use ratatui::{Frame, Terminal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Leaves the terminal as it was when it is dropped.
type Drawable = Terminal<TermionBackend<AlternateScreen<Stderr>>>;

/// The terminal as long as the dashboard has it.
pub(super) struct Screen {
    terminal: Arc<Mutex<Option<Drawable>>>,
    /// Whether somebody wants the run to end.
    pub(super) interrupted: Arc<AtomicBool>,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let writer = io::stderr().into_alternate_screen()?;
        let mut terminal = Terminal::new(TermionBackend::new(writer))?;
        terminal.clear()?;
        let screen = Self {
            terminal: Arc::new(Mutex::new(Some(terminal))),
            interrupted: Arc::new(AtomicBool::new(false)),
        };

        let terminal = Arc::clone(&screen.terminal);
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Before the message, which would vanish with the screen.
            close(&terminal);
            previous(info);
        }));

        let (terminal, interrupted) = (
            Arc::clone(&screen.terminal),
            Arc::clone(&screen.interrupted),
        );
        // Lives as long as the process: a handler that was removed leaves a signal without effect.
        thread::spawn(move || {
            for signal in signals.forever() {
                if close(&terminal) {
                    interrupted.store(true, Ordering::Relaxed);
                    let _ = writeln!(
                        io::stderr(),
                        "stopping after this step; once more to end the process"
                    );
                } else {
                    let _ = emulate_default_handler(signal);
                }
            }
        });
        Ok(screen)
    }

    /// Draws, unless the terminal was given back.
    pub(super) fn draw(&self, draw: impl FnOnce(&mut Frame<'_>)) {
        let Ok(mut terminal) = self.terminal.lock() else {
            return;
        };
        let drawn = terminal
            .as_mut()
            .map(|terminal| terminal.draw(draw).map(|_| ()));
        if let Some(Err(error)) = drawn {
            tracing::warn!(%error, "the dashboard goes no further");
            *terminal = None;
        }
    }

    pub(super) fn close(&self) {
        close(&self.terminal);
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("interrupted", &self.interrupted)
            .finish_non_exhaustive()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Gives the terminal back; whether it had not been given back before.
fn close(terminal: &Mutex<Option<Drawable>>) -> bool {
    // A panic while drawing holds the lock; the terminal is then dropped by the unwinding.
    let Ok(mut terminal) = terminal.try_lock() else {
        return false;
    };
    let Some(mut open) = terminal.take() else {
        return false;
    };
    let _ = open.show_cursor();
    true
}
