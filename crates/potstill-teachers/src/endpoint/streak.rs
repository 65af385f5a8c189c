//! Failures in a row: a server that is down is not asked ten thousand times.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// The requests that the server failed since it last answered one.
#[derive(Debug, Default)]
pub(super) struct Streak(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last: String,
}

impl Streak {
    /// Takes note of how a request ended.
    pub(super) fn note<T>(&self, result: &Result<T, Error>) {
        match result {
            Ok(_) => *self.failures() = Failures::default(),
            Err(error) if is_of_the_server(error) => {
                let mut failures = self.failures();
                failures.count += 1;
                failures.last = match error {
                    Error::GaveUp { last, .. } => format!("{error}: {last}"),
                    error => error.to_string(),
                };
            }
            Err(_) => {}
        }
    }

    /// The error of a request that is not sent, after `most` failures.
    pub(super) fn check(&self, most: u32) -> Result<(), Error> {
        let failures = self.failures();
        if failures.count < most {
            return Ok(());
        }
        Err(Error::Stopped {
            failures: failures.count,
            last: failures.last.clone(),
        })
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the next request will probably fail as well.
fn is_of_the_server(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. }
        | Error::TimedOut { .. }
        | Error::Interrupted { .. }
        | Error::PauseTooLong { .. }
        | Error::GaveUp { .. } => true,
        Error::Rejected { status, .. } => matches!(status, 401..=404 | 429 | 500..),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(status: u16) -> Result<(), Error> {
        Err(Error::Rejected {
            server: "http://host".into(),
            status,
            message: "no".into(),
        })
    }

    #[test]
    fn only_failures_of_the_server_in_a_row_count() {
        let streak = Streak::default();
        for status in [401, 400, 500, 422] {
            streak.note(&rejected(status));
        }
        assert!(streak.check(3).is_ok());
        let error = streak.check(2).unwrap_err().to_string();
        assert!(error.starts_with("2 requests in a row failed"), "{error}");
        assert!(error.contains("with status 500: no"), "{error}");
        streak.note(&Ok(()));
        assert!(streak.check(1).is_ok());
    }
}
