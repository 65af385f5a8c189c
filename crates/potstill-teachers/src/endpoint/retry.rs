//! Which failures another attempt can mend, and when to make it.

use std::time::{Duration, SystemTime};

use rand::RngExt;
use reqwest::header::HeaderMap;

use super::config::Retry;

/// What the headers of an answer say about coming back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RetryAdvice {
    /// How long to wait.
    pub(super) after: Option<Duration>,
    /// Whether to come back at all, where the server says so.
    pub(super) wanted: Option<bool>,
}

impl RetryAdvice {
    pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let milliseconds = text("retry-after-ms").and_then(|value| seconds(value, 1e-3));
        let after = text("retry-after").and_then(|value| {
            let date = || {
                let date = httpdate::parse_http_date(value).ok()?;
                Some(date.duration_since(now).unwrap_or_default())
            };
            seconds(value, 1.0).or_else(date)
        });
        Self {
            after: milliseconds.or(after),
            wanted: match text("x-should-retry") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
        }
    }
}

fn seconds(value: &str, unit: f64) -> Option<Duration> {
    let value: f64 = value.trim().parse().ok()?;
    Duration::try_from_secs_f64(value * unit).ok()
}

/// What an error status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another attempt can succeed.
    Again {
        /// The server has too much to do.
        overloaded: bool,
    },
    /// Another attempt fails the same way.
    Never,
}

/// Judges an error: 408, 409, 429 and server errors are worth another attempt, except when an
/// account has no credit left, or the server says otherwise.
pub(super) fn judge(status: u16, advice: RetryAdvice, code: &str) -> Verdict {
    let overloaded = matches!(status, 429 | 503 | 529);
    let usual = matches!(status, 408 | 409 | 425 | 429 | 500..) && status != 501;
    let spent = matches!(code, "insufficient_quota" | "billing_hard_limit_reached");
    if !spent && advice.wanted.unwrap_or(usual) {
        Verdict::Again { overloaded }
    } else {
        Verdict::Never
    }
}

/// The pause before attempt `attempt` (the second one is 2): doubling, and jittered so that clients
/// that failed together do not come back together.
pub(super) fn pause(retry: &Retry, attempt: u32) -> Duration {
    let doubled =
        retry.first_pause_seconds * 2f64.powi(attempt.saturating_sub(2).min(60).cast_signed());
    let longest = doubled.min(retry.longest_pause_seconds);
    Duration::from_secs_f64(longest * rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(headers: &[(&'static str, &str)]) -> RetryAdvice {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        RetryAdvice::read(&map, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |headers: &[(&'static str, &str)]| advice(headers).after;
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            after(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            after(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]),
            Some(Duration::ZERO)
        );
        let precise = [("retry-after", "1"), ("retry-after-ms", "250")];
        assert_eq!(after(&precise), Some(Duration::from_millis(250)));
        for nonsense in ["soon", "-3", "inf", "1e300"] {
            assert_eq!(after(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn only_what_can_succeed_is_tried_again() {
        let judge = |status| judge(status, RetryAdvice::default(), "");
        for status in [400, 401, 403, 404, 413, 422, 501, 301] {
            assert_eq!(judge(status), Verdict::Never, "{status}");
        }
        for status in [408, 409, 500, 502, 504] {
            assert_eq!(
                judge(status),
                Verdict::Again { overloaded: false },
                "{status}"
            );
        }
        for status in [429, 503] {
            assert_eq!(
                judge(status),
                Verdict::Again { overloaded: true },
                "{status}"
            );
        }
    }

    #[test]
    fn an_empty_account_and_the_servers_word_count_more_than_the_status() {
        let none = RetryAdvice::default();
        assert_eq!(judge(429, none, "insufficient_quota"), Verdict::Never);
        let never = advice(&[("x-should-retry", "false")]);
        assert_eq!(judge(500, never, ""), Verdict::Never);
        let again = advice(&[("x-should-retry", "true")]);
        assert_eq!(judge(400, again, ""), Verdict::Again { overloaded: false });
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry {
            first_pause_seconds: 1.0,
            longest_pause_seconds: 5.0,
            ..Retry::default()
        };
        for (attempt, longest) in [(2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (4000, 5.0)] {
            for _ in 0..20 {
                let seconds = pause(&retry, attempt).as_secs_f64();
                assert!((longest / 2.0..=longest).contains(&seconds), "{seconds}");
            }
        }
    }
}
