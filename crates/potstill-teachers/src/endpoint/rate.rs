//! Requests and tokens a minute.
//!
//! A bucket that may be overdrawn: whoever takes from it learns how long to wait until the debt is
//! paid. What was taken too much, because an answer was shorter than allowed, is put back, which no
//! ready-made limiter offers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    capacity: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket with a tenth of a minute's content: bursts stay short.
    pub(super) fn per_minute(rate: f64) -> Self {
        let capacity = (rate / 10.0).max(1.0);
        Self {
            per_second: rate / 60.0,
            capacity,
            state: Mutex::new((capacity, Instant::now())),
        }
    }

    /// Takes `amount`, and says how long to wait before using it.
    pub(super) fn take(&self, amount: f64) -> Duration {
        let level = self.add(-amount);
        Duration::from_secs_f64((-level / self.per_second).max(0.0))
    }

    /// Gives back what was not used.
    pub(super) fn put_back(&self, amount: f64) {
        self.add(amount);
    }

    fn add(&self, amount: f64) -> f64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, updated) = *state;
        let now = Instant::now();
        let refilled = level + now.duration_since(updated).as_secs_f64() * self.per_second;
        let level = (refilled.min(self.capacity) + amount).min(self.capacity);
        *state = (level, now);
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_waited_for_and_what_was_not_used_comes_back() {
        let bucket = Bucket::per_minute(60.0);
        assert_eq!(bucket.take(6.0), Duration::ZERO);
        let wait = bucket.take(3.0).as_secs_f64();
        assert!((2.9..=3.0).contains(&wait), "{wait}");
        bucket.put_back(2.0);
        let wait = bucket.take(0.0).as_secs_f64();
        assert!((0.9..=1.0).contains(&wait), "{wait}");
    }

    #[test]
    fn an_amount_above_the_capacity_is_served_late_rather_than_never() {
        let bucket = Bucket::per_minute(60.0);
        let wait = bucket.take(66.0).as_secs_f64();
        assert!((59.9..=60.0).contains(&wait), "{wait}");
    }
}
