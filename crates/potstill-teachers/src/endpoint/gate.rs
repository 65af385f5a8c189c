//! How many requests are on their way at a time.
//!
//! Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989): every answer lets
//! the window grow by one part of itself, so by one request a round; the first sign of overload in a
//! round halves it. A pause that the server asks for holds everyone back, not just the request that
//! was told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Admits requests.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
    most: f64,
}

#[derive(Debug)]
struct State {
    window: f64,
    inside: usize,
    closed_until: Instant,
    /// Requests that entered before this cannot know of the last decrease.
    last_decrease: Instant,
}

/// A request that is on its way; leaves when dropped.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    entered: Instant,
}

impl Gate {
    pub(super) fn new(most: usize) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                window: most as f64,
                inside: 0,
                closed_until: now,
                last_decrease: now,
            }),
            changed: Notify::new(),
            most: most as f64,
        }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self) -> Pass<'_> {
        loop {
            // Registered before looking, so that no change between the two is missed.
            let changed = self.changed.notified();
            let closed_until = {
                let mut state = self.state();
                let now = Instant::now();
                if now >= state.closed_until && (state.inside as f64) < state.window.floor() {
                    state.inside += 1;
                    return Pass {
                        gate: self,
                        entered: now,
                    };
                }
                (now < state.closed_until).then_some(state.closed_until)
            };
            match closed_until {
                Some(instant) => sleep_until(instant).await,
                None => changed.await,
            }
        }
    }

    /// Lets nobody in for a while.
    pub(super) fn close_for(&self, pause: Duration) {
        let mut state = self.state();
        state.closed_until = state.closed_until.max(Instant::now() + pause);
    }

    /// How many may be on their way.
    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.state().window as usize
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The server coped.
    pub(super) fn went_well(&self) {
        let mut state = self.gate.state();
        state.window = (state.window + state.window.recip()).min(self.gate.most);
    }

    /// The server has too much to do.
    pub(super) fn overloaded(&self) {
        let mut state = self.gate.state();
        if self.entered >= state.last_decrease {
            state.window = (state.window / 2.0).max(1.0);
            state.last_decrease = Instant::now();
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.state().inside -= 1;
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn overload_halves_the_window_once_a_round_and_success_widens_it() {
        run(async {
            let gate = Gate::new(8);
            let passes = [gate.enter().await, gate.enter().await, gate.enter().await];
            passes.iter().for_each(Pass::overloaded);
            assert_eq!(gate.window(), 4);
            drop(passes);
            let pass = gate.enter().await;
            for _ in 0..5 {
                pass.went_well();
            }
            assert_eq!(gate.window(), 5);
            for _ in 0..100 {
                pass.went_well();
            }
            assert_eq!(gate.window(), 8);
        });
    }

    #[test]
    fn the_window_never_closes_for_good() {
        run(async {
            let gate = Gate::new(2);
            for _ in 0..5 {
                let pass = gate.enter().await;
                pass.overloaded();
            }
            assert_eq!(gate.window(), 1);
        });
    }

    #[test]
    fn a_full_gate_opens_when_someone_leaves() {
        run(async {
            let gate = Gate::new(1);
            let first = gate.enter().await;
            let second = gate.enter();
            let leave = async move { drop(first) };
            let (second, ()) = futures_join(second, leave).await;
            drop(second);
        });
    }

    #[test]
    fn a_pause_holds_everyone_back() {
        run(async {
            let gate = Gate::new(4);
            let start = Instant::now();
            gate.close_for(Duration::from_millis(30));
            gate.enter().await;
            assert!(start.elapsed() >= Duration::from_millis(30));
        });
    }

    /// Polls both in turn, the first one first.
    async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
        let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
        let (mut done_a, mut done_b) = (None, None);
        std::future::poll_fn(move |context| {
            use std::task::Poll;
            if done_a.is_none()
                && let Poll::Ready(value) = a.as_mut().poll(context)
            {
                done_a = Some(value);
            }
            if done_b.is_none()
                && let Poll::Ready(value) = b.as_mut().poll(context)
            {
                done_b = Some(value);
            }
            match (done_a.take(), done_b.take()) {
                (Some(a), Some(b)) => Poll::Ready((a, b)),
                (a, b) => {
                    (done_a, done_b) = (a, b);
                    Poll::Pending
                }
            }
        })
        .await
    }
}
