//! Threads that wait awake for what comes next.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long threads wait for more work before they may sleep.
const PATIENCE: Duration = Duration::from_micros(200);

/// Threads that wait, or are about to.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Keeps the other threads of the current pool from falling asleep for a moment.
///
/// For operations that come one after the other and take less time than waking a thread does: a step
/// of decoding has hundreds of them. Waiting threads do what is to be done meanwhile. Outside of a
/// pool nothing happens.
pub(crate) fn keep_threads_awake() {
    let Some(caller) = rayon::current_thread_index() else {
        return;
    };
    let threads = rayon::current_num_threads();
    let nobody = WAITING.compare_exchange(0, threads, Ordering::Relaxed, Ordering::Relaxed);
    if threads < 2 || nobody.is_err() {
        return;
    }
    rayon::spawn_broadcast(move |context| {
        if context.index() != caller {
            wait_awake();
        }
        WAITING.fetch_sub(1, Ordering::Relaxed);
    });
}

fn wait_awake() {
    let mut idle_since = Instant::now();
    while idle_since.elapsed() < PATIENCE {
        if matches!(rayon::yield_now(), Some(Yield::Executed)) {
            idle_since = Instant::now();
        } else {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn threads_that_wait_do_what_is_to_be_done() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let pool = pool.expect("threads can be started");
        let sum: u64 = pool.install(|| {
            (0..100u64)
                .map(|round| {
                    keep_threads_awake();
                    (0..100u64).into_par_iter().map(|i| i * round).sum::<u64>()
                })
                .sum()
        });
        assert_eq!(sum, 4950 * 4950);
    }
}
