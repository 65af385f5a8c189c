//! How fast this machine reads memory.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Bytes that each thread reads: more than its share of any cache.
const BLOCK: usize = 64 << 20;

/// Times that it reads them; the fastest counts.
const PASSES: usize = 4;

/// Bytes each second that all processors together read from memory, in a measurement of about a tenth
/// of a second that needs 64 MB for each.
///
/// Decoding a single sequence reads every weight once for a token, so this divided by the bytes of the
/// weights bounds its speed, for a model that does not fit the caches.
#[must_use]
pub fn memory_bandwidth() -> f64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let barrier = Barrier::new(threads);
    let read = || {
        let block = black_box(vec![1u64; BLOCK / size_of::<u64>()]);
        let pass = || {
            barrier.wait();
            let start = Instant::now();
            black_box(block.iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
            barrier.wait();
            start.elapsed().as_secs_f64()
        };
        (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min)
    };
    let seconds = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        let seconds = readers.into_iter().filter_map(|reader| reader.join().ok());
        seconds.fold(0.0, f64::max)
    });
    (threads * BLOCK) as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_at_a_believable_speed() {
        let found = memory_bandwidth();
        assert!((1e8..1e14).contains(&found), "{found}");
    }
}
