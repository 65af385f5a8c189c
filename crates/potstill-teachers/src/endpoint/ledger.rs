//! What was spent, and whether more may be.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use potstill_core::Usage;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::{Budget, Prices};

/// What an endpoint did and what it cost, from its construction on.
///
/// `Display` is one line for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    /// Requests asked for.
    pub asked: u64,
    /// Requests that a server answered.
    pub answered: u64,
    /// Requests whose answer was in the store, for nothing.
    pub recalled: u64,
    /// Requests without an answer.
    pub failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Tokens read by the model, as the server counts them.
    pub prompt_tokens: u64,
    /// Tokens written by the model, as the server counts them.
    pub completion_tokens: u64,
    /// The most tokens that attempts may have cost which ended without an account: the connection
    /// broke, the time was up, or the answer does not say.
    pub unaccounted_tokens: u64,
    /// Money, in the currency of the prices, unaccounted tokens at their highest price included;
    /// `None` where the prices are unknown.
    pub money: Option<f64>,
    /// The currency.
    pub currency: Option<String>,
}

impl Spending {
    /// Tokens read and written, unaccounted ones included.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens + self.unaccounted_tokens
    }
}

impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.answered + self.recalled + self.failed;
        write!(f, "{done} of {} requests done", self.asked)?;
        for (count, what) in [
            (self.recalled, "from the store"),
            (self.failed, "failed"),
            (self.retries, "retries"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        let (read, written) = (self.prompt_tokens, self.completion_tokens);
        write!(f, "; {read} tokens read, {written} written")?;
        if self.unaccounted_tokens > 0 {
            write!(f, ", up to {} unaccounted", self.unaccounted_tokens)?;
        }
        match (self.money, &self.currency) {
            (Some(money), Some(currency)) => write!(f, "; {money:.4} {currency}"),
            _ => f.write_str("; price unknown"),
        }
    }
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetReached {
    /// Tokens.
    #[error("{spent} of {limit} tokens are used, and this request may need {needed} more")]
    Tokens {
        /// Used so far.
        spent: u64,
        /// The most that the request can use.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// Money.
    #[error("{spent:.4} of {limit:.4} are spent, and this request may cost {needed:.4} more")]
    Money {
        /// Spent so far.
        spent: f64,
        /// The most that the request can cost.
        needed: f64,
        /// The limit.
        limit: f64,
    },
    /// Time.
    #[error("the {limit} s of the run are over")]
    Time {
        /// The limit.
        limit: f64,
    },
}

/// Told about every change.
pub(super) type Observer = Arc<dyn Fn(&Spending) + Send + Sync>;

pub(super) struct Ledger {
    budget: Budget,
    prices: Option<Prices>,
    observer: Mutex<Option<Observer>>,
    started: Instant,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug)]
struct State {
    spending: Spending,
    reserved: Cost,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    tokens: u64,
    money: f64,
}

/// Tokens that an attempt may use; unaccounted for if it is dropped without [`settle`](Self::settle).
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    ledger: &'a Ledger,
    worst: Usage,
    open: bool,
}

impl Ledger {
    pub(super) fn new(budget: Budget, prices: Option<Prices>) -> Self {
        let spending = Spending {
            money: prices.is_some().then_some(0.0),
            currency: prices.as_ref().map(|prices| prices.currency.clone()),
            ..Spending::default()
        };
        Self {
            budget,
            prices,
            observer: Mutex::default(),
            started: Instant::now(),
            state: Mutex::new(State {
                spending,
                reserved: Cost::default(),
            }),
            settled: Notify::new(),
        }
    }

    pub(super) fn observe(&self, observer: Observer) {
        *lock(&self.observer) = Some(observer);
    }

    pub(super) fn spending(&self) -> Spending {
        lock(&self.state).spending.clone()
    }

    /// Changes the account and tells the observer.
    pub(super) fn note(&self, change: impl FnOnce(&mut Spending)) {
        let spending = {
            let mut state = lock(&self.state);
            change(&mut state.spending);
            state.spending.clone()
        };
        let observer = lock(&self.observer).clone();
        if let Some(observer) = observer {
            observer(&spending);
        }
    }

    /// Sets `worst` aside, waiting for other requests where only they stand in the way.
    pub(super) async fn reserve(&self, worst: Usage) -> Result<Reservation<'_>, BudgetReached> {
        loop {
            let settled = self.settled.notified();
            if self.try_reserve(worst)? {
                return Ok(Reservation {
                    ledger: self,
                    worst,
                    open: true,
                });
            }
            settled.await;
        }
    }

    /// Whether there is room now; an error if there never will be.
    fn try_reserve(&self, worst: Usage) -> Result<bool, BudgetReached> {
        if let Some(limit) = self.budget.seconds
            && self.started.elapsed() >= Duration::from_secs_f64(limit)
        {
            return Err(BudgetReached::Time { limit });
        }
        let needed = self.cost(worst);
        let mut state = lock(&self.state);
        let mut room = true;
        if let Some(limit) = self.budget.tokens {
            let spent = state.spending.tokens();
            if spent + needed.tokens > limit {
                return Err(BudgetReached::Tokens {
                    spent,
                    needed: needed.tokens,
                    limit,
                });
            }
            room &= spent + state.reserved.tokens + needed.tokens <= limit;
        }
        if let (Some(limit), Some(spent)) = (self.budget.money, state.spending.money) {
            if spent + needed.money > limit {
                return Err(BudgetReached::Money {
                    spent,
                    needed: needed.money,
                    limit,
                });
            }
            room &= spent + state.reserved.money + needed.money <= limit;
        }
        if room {
            state.reserved.tokens += needed.tokens;
            state.reserved.money += needed.money;
        }
        Ok(room)
    }

    fn cost(&self, usage: Usage) -> Cost {
        let price = |prices: &Prices| {
            (usage.prompt_tokens as f64 * prices.input_per_million
                + usage.completion_tokens as f64 * prices.output_per_million)
                / 1e6
        };
        Cost {
            tokens: usage.prompt_tokens + usage.completion_tokens,
            money: self.prices.as_ref().map_or(0.0, price),
        }
    }

    fn close(&self, worst: Usage, change: impl FnOnce(&mut Spending)) {
        let reserved = self.cost(worst);
        {
            let mut state = lock(&self.state);
            state.reserved.tokens -= reserved.tokens;
            state.reserved.money -= reserved.money;
        }
        self.note(change);
        self.settled.notify_waiters();
    }
}

impl Reservation<'_> {
    /// What the attempt did use.
    pub(super) fn settle(mut self, used: Usage) {
        self.open = false;
        let money = self.ledger.cost(used).money;
        self.ledger.close(self.worst, |spending| {
            spending.prompt_tokens += used.prompt_tokens;
            spending.completion_tokens += used.completion_tokens;
            spending.money = spending.money.map(|spent| spent + money);
        });
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.open {
            let cost = self.ledger.cost(self.worst);
            self.ledger.close(self.worst, |spending| {
                spending.unaccounted_tokens += cost.tokens;
                spending.money = spending.money.map(|spent| spent + cost.money);
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("budget", &self.budget)
            .field("spending", &self.spending())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORST: Usage = Usage {
        prompt_tokens: 40,
        completion_tokens: 60,
    };

    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(future)
    }

    fn tokens(limit: u64) -> Ledger {
        let budget = Budget {
            tokens: Some(limit),
            ..Budget::default()
        };
        Ledger::new(budget, None)
    }

    #[test]
    fn a_request_that_may_not_fit_is_never_sent() {
        let ledger = tokens(150);
        now(ledger.reserve(WORST)).unwrap().settle(Usage {
            prompt_tokens: 30,
            completion_tokens: 21,
        });
        assert_eq!(
            now(ledger.reserve(WORST)).unwrap_err(),
            BudgetReached::Tokens {
                spent: 51,
                needed: 100,
                limit: 150
            }
        );
    }

    #[test]
    fn room_that_others_hold_is_waited_for() {
        let ledger = tokens(150);
        let first = ledger.try_reserve(WORST).unwrap();
        assert!(first && !ledger.try_reserve(WORST).unwrap());
        ledger.close(WORST, |spending| spending.prompt_tokens += 10);
        assert!(ledger.try_reserve(WORST).unwrap());
    }

    #[test]
    fn what_has_no_account_is_charged_in_full() {
        let ledger = tokens(150);
        drop(now(ledger.reserve(WORST)).unwrap());
        assert_eq!(ledger.spending().unaccounted_tokens, 100);
        assert!(now(ledger.reserve(WORST)).is_err());
    }

    #[test]
    fn money_is_counted_where_prices_are_known() {
        let prices = Prices {
            input_per_million: 1e6,
            output_per_million: 2e6,
            currency: "EUR".into(),
        };
        let budget = Budget {
            money: Some(200.0),
            ..Budget::default()
        };
        let ledger = Ledger::new(budget, Some(prices));
        now(ledger.reserve(WORST)).unwrap().settle(Usage {
            prompt_tokens: 40,
            completion_tokens: 1,
        });
        assert_eq!(ledger.spending().money, Some(42.0));
        let error = now(ledger.reserve(WORST)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "42.0000 of 200.0000 are spent, and this request may cost 160.0000 more"
        );
    }

    #[test]
    fn an_unknown_price_is_unknown() {
        let ledger = tokens(1000);
        now(ledger.reserve(WORST)).unwrap().settle(WORST);
        assert_eq!(ledger.spending().money, None);
        assert_eq!(
            ledger.spending().to_string(),
            "0 of 0 requests done; 40 tokens read, 60 written; price unknown"
        );
    }

    #[test]
    fn the_time_of_a_run_ends() {
        let budget = Budget {
            seconds: Some(1e-9),
            ..Budget::default()
        };
        let ledger = Ledger::new(budget, None);
        let error = now(ledger.reserve(WORST)).unwrap_err();
        assert!(matches!(error, BudgetReached::Time { .. }), "{error}");
    }
}
