//! What is being answered, and whether more may come.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts the requests in flight and closes the door.
#[derive(Debug)]
pub(super) struct Intake {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    closed: bool,
    in_flight: usize,
}

/// A request in flight, as long as it lives.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Intake>);

impl Default for Intake {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::default()),
        }
    }
}

impl Intake {
    /// Lets a request in; `None` when the door is closed.
    pub(super) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let entered = self.state.send_if_modified(|state| {
            state.in_flight += usize::from(!state.closed);
            !state.closed
        });
        entered.then(|| InFlight(Arc::clone(self)))
    }

    pub(super) fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    pub(super) fn in_flight(&self) -> usize {
        self.state.borrow().in_flight
    }

    /// Waits until nothing is in flight.
    pub(super) async fn drained(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`, so the only way to end is the condition.
        let _ = state.wait_for(|state| state.in_flight == 0).await;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.in_flight -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_door_lets_nobody_in_and_everybody_out() {
        let intake = Arc::new(Intake::default());
        let first = intake.enter().unwrap();
        intake.close();
        assert!(intake.enter().is_none());
        assert_eq!(intake.in_flight(), 1);
        drop(first);
        pollster::block_on(intake.drained());
        assert_eq!(intake.in_flight(), 0);
    }
}
