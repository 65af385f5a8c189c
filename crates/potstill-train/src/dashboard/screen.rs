//! The terminal, and giving it back.
//!
//! A process has one terminal, one panic hook and one way of hearing signals, so this is the one place
//! with state of the whole process.

use std::io::{self, Stderr, Write};
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ratatui::backend::TermionBackend;
use ratatui::termion::cursor::Show;
use ratatui::termion::screen::{AlternateScreen, IntoAlternateScreen, ToMainScreen};
use ratatui::{Frame, Terminal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Leaves the terminal as it was when it is dropped.
type Drawable = Terminal<TermionBackend<AlternateScreen<Stderr>>>;

/// The terminal as long as a dashboard has it.
static TERMINAL: Mutex<Option<Drawable>> = Mutex::new(None);
/// Whether somebody wants the run to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether signals and panics give the terminal back.
static GUARDED: Mutex<bool> = Mutex::new(false);

/// A dashboard's hold of the terminal.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        guard()?;
        let mut terminal = TERMINAL
            .lock()
            .map_err(|_| io::Error::other("a dashboard has panicked"))?;
        if terminal.is_some() {
            return Err(io::Error::other("another dashboard has the terminal"));
        }
        let writer = io::stderr().into_alternate_screen()?;
        *terminal = Some(Terminal::new(TermionBackend::new(writer))?);
        INTERRUPTED.store(false, Ordering::Relaxed);
        Ok(Self(()))
    }

    /// Draws, unless the terminal was given back.
    pub(super) fn draw(&self, draw: impl FnOnce(&mut Frame<'_>)) {
        let Ok(mut terminal) = TERMINAL.lock() else {
            return;
        };
        let drawn = terminal
            .as_mut()
            .map(|terminal| terminal.draw(draw).map(|_| ()));
        if let Some(Err(error)) = drawn {
            *terminal = None;
            tracing::warn!(%error, "the dashboard goes no further");
        }
    }

    pub(super) fn close(&self) {
        close();
    }

    pub(super) fn is_interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Sees to it, once, that signals and panics give the terminal back.
fn guard() -> io::Result<()> {
    let mut guarded = GUARDED
        .lock()
        .map_err(|_| io::Error::other("a dashboard has panicked"))?;
    if *guarded {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // Lives as long as the process: a handler that was removed leaves a signal without effect.
    thread::spawn(move || {
        for signal in signals.forever() {
            if close() {
                INTERRUPTED.store(true, Ordering::Relaxed);
                let _ = writeln!(
                    io::stderr(),
                    "stopping after this step; once more to end the process"
                );
            } else {
                let _ = emulate_default_handler(signal);
            }
        }
    });
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Before the message, which would vanish with the screen.
        if let Ok(mut terminal) = TERMINAL.try_lock() {
            restore(&mut terminal);
        } else {
            // The panic came while drawing, which holds the lock.
            let _ = write!(io::stderr(), "{ToMainScreen}{Show}");
        }
        previous(info);
    }));
    *guarded = true;
    Ok(())
}

/// Gives the terminal back; whether it had not been given back before.
fn close() -> bool {
    TERMINAL.lock().is_ok_and(|mut open| restore(&mut open))
}

fn restore(open: &mut Option<Drawable>) -> bool {
    let Some(mut terminal) = open.take() else {
        return false;
    };
    let _ = terminal.show_cursor();
    true
}
