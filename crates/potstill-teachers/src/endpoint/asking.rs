//! From the caller's thread to the runtime and back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::Value;

use super::Endpoint;
use super::call::{AnswerKey, Call, address};
use crate::Error;

impl Endpoint {
    /// Asks everything, side by side, and returns the answers in order.
    pub(super) fn ask_all(&self, calls: Vec<Result<Call, Error>>) -> Vec<Result<Value, Error>> {
        let mut answers: Vec<Option<Result<Value, Error>>> = Vec::new();
        let mut waiting = Vec::new();
        let mut draws: HashMap<AnswerKey, u32> = HashMap::new();
        for (place, call) in calls.into_iter().enumerate() {
            match call {
                Ok(mut call) => {
                    if !call.is_repeatable() {
                        let key = address(&call.identity("")).1;
                        let drawn = draws.entry(key).or_default();
                        call.draw = *drawn;
                        *drawn += 1;
                    }
                    waiting.push((place, call));
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let workers = waiting.len().min(self.config().limits.concurrency);
        let waiting = Arc::new(Mutex::new(waiting.into_iter()));
        let (done, results) = mpsc::channel();
        for _ in 0..workers {
            let (shared, waiting, done) = (self.shared.clone(), waiting.clone(), done.clone());
            self.spawn(async move {
                let next = || {
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .next()
                };
                while let Some((place, call)) = next() {
                    let answer = shared.exchange.ask(call).await;
                    if done.send((place, answer)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        for (place, answer) in results {
            answers[place] = Some(answer);
        }
        answers
            .into_iter()
            .map(|answer| answer.expect("the observer of an endpoint must not panic"))
            .collect()
    }

    /// Runs `work` on the runtime and waits for it; unlike `block_on`, also inside another runtime.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (done, result) = mpsc::channel();
        self.spawn(async move {
            let _ = done.send(work.await);
        });
        result
            .recv()
            .expect("the observer of an endpoint must not panic")
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.as_ref();
        runtime.expect("it is only taken by drop").spawn(work);
    }
}

/// The error for the first request; the others name it.
pub(super) fn not_asked<T>(error: Error, n: usize) -> Vec<Result<T, Error>> {
    let reason = error.to_string();
    let others = (1..n).map(|_| {
        Err(Error::NotAsked {
            reason: reason.clone(),
        })
    });
    let others: Vec<_> = others.collect();
    std::iter::once(Err(error)).chain(others).take(n).collect()
}
