//! One question, one answer: the store first, then the server, within every limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potstill_core::Usage;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::{self, AnswerProblem, Content, ServerError};
use super::call::{AnswerKey, Call, address};
use super::config::{EndpointConfig, Mode};
use super::gate::{Gate, Pass};
use super::ledger::{Ledger, Reservation};
use super::rate::Bucket;
use super::retry::{self, RetryAdvice, Verdict};
use super::streak::Streak;
use super::transport::{self, Transport};
use super::turns::Turns;
use super::wire;
use crate::Error;
use crate::store::{AnswerStore, StoredAnswer};

/// Everything that requests share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) config: EndpointConfig,
    pub(super) store: Option<Arc<AnswerStore>>,
    pub(super) ledger: Ledger,
    /// `None` when replaying.
    transport: Option<Transport>,
    gate: Gate,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    turns: Turns,
    streak: Streak,
    /// The store could not be written: whatever is sent from now on would be lost.
    is_leaking: AtomicBool,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Store,
    Server,
}

/// A request, and where its answer is kept.
struct Question<'a> {
    call: &'a Call,
    /// Everything that changes the answer.
    request: String,
    key: AnswerKey,
}

/// An attempt that failed.
struct Failed {
    error: Error,
    verdict: Verdict,
    advice: RetryAdvice,
}

impl Exchange {
    pub(super) fn new(config: EndpointConfig) -> Result<Self, Error> {
        config.validate()?;
        let store = match (&config.store, config.mode) {
            (Some(path), Mode::Live) => Some(AnswerStore::open(path)?),
            (Some(path), Mode::Replay) => Some(AnswerStore::open_existing(path)?),
            (None, _) => None,
        };
        let transport = match config.mode {
            Mode::Live => Some(Transport::new(&config)?),
            Mode::Replay => None,
        };
        Ok(Self {
            store: store.map(Arc::new),
            ledger: Ledger::new(config.budget.clone(), config.prices.clone()),
            transport,
            gate: Gate::new(config.limits.concurrency),
            requests: config.limits.requests_per_minute.map(Bucket::per_minute),
            tokens: config.limits.tokens_per_minute.map(Bucket::per_minute),
            turns: Turns::default(),
            streak: Streak::default(),
            is_leaking: AtomicBool::new(false),
            config,
        })
    }

    /// The server's address, for messages.
    pub(super) fn server(&self) -> String {
        self.config.base_url.trim_end_matches('/').to_owned()
    }

    pub(super) fn unusable(&self, problem: AnswerProblem) -> Error {
        Error::Answer {
            server: self.server(),
            problem,
        }
    }

    /// How many likely tokens to try, from the most to the fewest.
    pub(super) fn tops(&self) -> impl Iterator<Item = usize> + use<> {
        let most = self.config.likely_tokens;
        let usual = [20, 5, 1, 0].into_iter().filter(move |&top| top < most);
        std::iter::once(most).chain(usual)
    }

    /// The answer to `call`, from the store if it is there.
    pub(super) async fn ask(&self, call: Call) -> Result<Value, Error> {
        self.ledger.note(|spending| spending.asked += 1);
        let result = self
            .answer(&call, self.config.mode == Mode::Live, false)
            .await;
        self.ledger.note(|spending| match &result {
            Ok((_, Origin::Store)) => spending.recalled += 1,
            Ok((_, Origin::Server)) => spending.answered += 1,
            Err(_) => spending.failed += 1,
        });
        self.streak.note(&result);
        result.map(|(answer, _)| answer)
    }

    /// As [`ask`](Self::ask), to see whether there is an answer: a refusal is no failure, so that only
    /// tokens are counted.
    pub(super) async fn try_out(&self, call: Call) -> Result<Value, Error> {
        let answer = self.answer(&call, self.config.mode == Mode::Live, false);
        answer.await.map(|(answer, _)| answer)
    }

    /// The server's present answer, which replaces a stored one; when replaying, the stored one.
    pub(super) async fn try_out_afresh(&self, call: Call) -> Result<Value, Error> {
        let live = self.config.mode == Mode::Live;
        let answer = self.answer(&call, live, live);
        answer.await.map(|(answer, _)| answer)
    }

    async fn answer(
        &self,
        call: &Call,
        live: bool,
        afresh: bool,
    ) -> Result<(Value, Origin), Error> {
        let (request, key) = address(&call.identity(self.config.deployment_name()));
        let question = Question { call, request, key };
        let turn = self.turns.of(key);
        let _alone = turn.come().await;
        if !afresh && let Some(answer) = self.recall(&key, live)? {
            return Ok((answer, Origin::Store));
        }
        match &self.transport {
            Some(transport) => Ok((self.send(transport, &question).await?, Origin::Server)),
            None => Err(self.not_recorded(&question)),
        }
    }

    fn not_recorded(&self, question: &Question<'_>) -> Error {
        Error::NotRecorded {
            path: self.config.store.clone().unwrap_or_default(),
            request: question.call.summary(),
            key: question.key.to_string(),
        }
    }

    /// The stored answer, unless what is stored is no answer.
    fn recall(&self, key: &AnswerKey, live: bool) -> Result<Option<Value>, Error> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let Some(stored) = store.get(key)? else {
            return Ok(None);
        };
        match answer::read(&stored.content_type, &stored.body) {
            Ok(Content::Json(answer)) => Ok(Some(answer)),
            // A kill between storing and reading leaves it in service.
            _ if live => {
                store.set_aside(key)?;
                Ok(None)
            }
            Ok(Content::Error(error)) => Err(self.rejected(error)),
            Err(problem) => Err(self.unusable(problem)),
        }
    }

    async fn send(&self, transport: &Transport, question: &Question<'_>) -> Result<Value, Error> {
        let retry = &self.config.retry;
        let mut deadline = None;
        let mut attempt = 1;
        loop {
            let pass = self.gate.enter().await;
            if attempt == 1 {
                self.streak.check(retry.failures_in_a_row)?;
            }
            let deadline = *deadline.get_or_insert_with(|| {
                Instant::now() + Duration::from_secs_f64(self.config.limits.request_seconds)
            });
            if Instant::now() >= deadline {
                return Err(self.out_of_time());
            }
            let failed = match self.attempt(transport, question, deadline, &pass).await? {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            drop(pass);
            let Verdict::Again { overloaded } = failed.verdict else {
                return Err(failed.error);
            };
            let pause = match failed.advice.after {
                Some(pause) if pause.as_secs_f64() > retry.longest_retry_after_seconds => {
                    return Err(Error::PauseTooLong {
                        server: self.server(),
                        seconds: pause.as_secs_f64(),
                        longest: retry.longest_retry_after_seconds,
                    });
                }
                Some(pause) => {
                    if overloaded {
                        self.gate.close_for(pause);
                    }
                    pause
                }
                None => retry::pause(retry, attempt + 1),
            };
            if attempt >= retry.attempts || Instant::now() + pause >= deadline {
                return Err(Error::GaveUp {
                    server: self.server(),
                    attempts: attempt,
                    last: Box::new(failed.error),
                });
            }
            tracing::warn!(
                server = self.config.base_url,
                attempt,
                pause = pause.as_secs_f64(),
                error = %failed.error,
                "an attempt failed"
            );
            attempt += 1;
            self.ledger.note(|spending| spending.retries += 1);
            sleep(pause).await;
        }
    }

    fn out_of_time(&self) -> Error {
        Error::TimedOut {
            server: self.server(),
            seconds: self.config.limits.request_seconds,
        }
    }

    /// One attempt. The outer error ends the request, the inner one is judged.
    async fn attempt(
        &self,
        transport: &Transport,
        question: &Question<'_>,
        deadline: Instant,
        pass: &Pass<'_>,
    ) -> Result<Result<Value, Failed>, Error> {
        let call = question.call;
        let worst = call.worst.prompt_tokens + call.worst.completion_tokens;
        let waits = [(&self.requests, 1.0), (&self.tokens, worst as f64)];
        for (bucket, amount) in waits {
            if let Some(bucket) = bucket {
                sleep(bucket.take(amount)).await;
            }
        }
        self.check_store()?;
        let reservation = self
            .ledger
            .reserve(call.worst)
            .await
            .map_err(Error::Budget)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let sent = transport.send(call, left).await;
        let failed = match sent {
            Ok(answer) if (200..300).contains(&answer.status) => {
                let advice = answer.advice;
                match self.keep_and_read(answer, question).await? {
                    Content::Json(answer) => {
                        pass.went_well();
                        self.settle(call, wire::usage(&answer), reservation);
                        return Ok(Ok(answer));
                    }
                    Content::Error(error) => self.judge(error, advice, reservation),
                }
            }
            Ok(answer) => {
                let error = answer::read_error(answer.status, &answer.body);
                self.judge(error, answer.advice, reservation)
            }
            Err(failure) => {
                if !failure.was_sent {
                    reservation.settle(Usage::default());
                }
                self.judge_failure(failure)
            }
        };
        if matches!(failed.verdict, Verdict::Again { overloaded: true }) {
            pass.overloaded();
        }
        Ok(Err(failed))
    }

    /// Nothing is sent whose answer could not be kept.
    fn check_store(&self) -> Result<(), Error> {
        match &self.store {
            Some(store) if self.is_leaking.load(Ordering::Relaxed) => Err(Error::Store {
                action: "write",
                path: store.path().to_owned(),
                source: "an earlier answer could not be stored, so nothing more is sent".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts an answer on disk, and only then looks at it. What is no answer is set aside.
    async fn keep_and_read(
        &self,
        answer: transport::Answer,
        question: &Question<'_>,
    ) -> Result<Content, Error> {
        let record = StoredAnswer {
            request: question.request.clone(),
            content_type: answer.content_type,
            body: answer.body,
        };
        let record = Arc::new(record);
        if let Some(store) = self.store.clone() {
            let record = record.clone();
            blocking(move || store.insert(&record))
                .await
                .inspect_err(|_| {
                    self.is_leaking.store(true, Ordering::Relaxed);
                })?;
        }
        let content = answer::read(&record.content_type, &record.body);
        if !matches!(content, Ok(Content::Json(_)))
            && let Some(store) = self.store.clone()
        {
            let key = question.key;
            blocking(move || store.set_aside(&key)).await?;
        }
        content.map_err(|problem| self.unusable(problem))
    }

    fn settle(&self, call: &Call, used: Option<Usage>, reservation: Reservation<'_>) {
        let used = used.or((call.worst == Usage::default()).then(Usage::default));
        // Without an account the most is charged.
        let Some(used) = used else { return };
        if let Some(tokens) = &self.tokens {
            let total = |usage: Usage| (usage.prompt_tokens + usage.completion_tokens) as f64;
            tokens.put_back((total(call.worst) - total(used)).max(0.0));
        }
        reservation.settle(used);
    }

    fn judge(&self, error: ServerError, advice: RetryAdvice, open: Reservation<'_>) -> Failed {
        open.settle(Usage::default());
        Failed {
            verdict: retry::judge(error.status, advice, &error.code),
            advice,
            error: self.rejected(error),
        }
    }

    fn judge_failure(&self, failure: transport::Failure) -> Failed {
        Failed {
            error: failure.error,
            verdict: if failure.is_worth_another {
                Verdict::Again { overloaded: false }
            } else {
                Verdict::Never
            },
            advice: RetryAdvice::default(),
        }
    }

    fn rejected(&self, error: ServerError) -> Error {
        Error::Rejected {
            server: self.server(),
            status: error.status,
            message: error.message,
        }
    }
}

/// Runs what blocks beside the event loop.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
