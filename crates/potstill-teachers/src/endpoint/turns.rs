//! The same request twice at once waits for its own answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::AnswerKey;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// One lock for each request that is on its way.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<AnswerKey, Lock>>);

/// A place in the line of equal requests.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    key: AnswerKey,
    lock: Lock,
}

impl Turns {
    pub(super) fn of(&self, key: AnswerKey) -> Turn<'_> {
        let lock = self.locks().entry(key).or_default().clone();
        Turn {
            turns: self,
            key,
            lock,
        }
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<AnswerKey, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits for those in front.
    pub(super) async fn come(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.lock.lock().await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut locks = self.turns.locks();
        // The map's and ours: nobody else is in line.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_forgotten_when_the_last_one_leaves() {
        let turns = Turns::default();
        let key = AnswerKey([7; 32]);
        let (first, second) = (turns.of(key), turns.of(key));
        assert!(Arc::ptr_eq(&first.lock, &second.lock));
        drop(first);
        assert_eq!(turns.locks().len(), 1);
        drop(second);
        assert!(turns.locks().is_empty());
    }
}
