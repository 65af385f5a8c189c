//! Running out of memory, and how much the process has.
//!
//! burn has no error of its own for memory. What it gives depends on the backend: CubeCL (`wgpu`,
//! `cuda`) fails when a result is read, with an error whose text says so; libtorch panics; `flex`
//! asks the system's allocator, and Rust ends the process when that refuses.
//! So the first two can be caught here, by their text, and the last one cannot.

use std::any::Any;
use std::error::Error as StdError;
use std::fs;
use std::panic::{self, AssertUnwindSafe};

use crate::{BoxError, Error};

/// Runs the computation of a step. An error or a panic that says that memory has run out becomes
/// [`Error::OutOfMemory`]; every other panic goes on.
pub(crate) fn watched<T>(
    step: usize,
    rows: usize,
    compute: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let short = |source: BoxError| Error::OutOfMemory { step, rows, source };
    match panic::catch_unwind(AssertUnwindSafe(compute)) {
        Ok(Err(error)) if speaks_of_memory(&error) => Err(short(Box::new(error))),
        Ok(result) => result,
        Err(payload) => match panic_message(payload.as_ref()) {
            Some(message) if is_about_memory(message) => Err(short(message.into())),
            _ => panic::resume_unwind(payload),
        },
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
}

fn speaks_of_memory(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if is_about_memory(&error.to_string()) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_about_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "out of memory",
        "out-of-memory",
        "can't allocate",
        "cannot allocate memory",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// The resident memory of this process in bytes, now and at its highest; `None` where the system has
/// no `/proc/self/status`.
pub(crate) fn resident() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_about_memory_become_errors_and_others_go_on() {
        let message = "CUDA out of memory. Tried to allocate 2.00 GiB";
        let error = watched::<()>(3, 8, || panic!("{message}")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory ran out at step 3 with micro-batches of up to 8 rows; use smaller batches and more \
             accumulation"
        );
        assert_eq!(error.source().unwrap().to_string(), message);
        let other = panic::catch_unwind(|| watched::<()>(3, 8, || panic!("a shape is wrong")));
        assert_eq!(
            panic_message(other.unwrap_err().as_ref()),
            Some("a shape is wrong")
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_uses_less_than_it_ever_used() {
        let (now, peak) = resident().unwrap();
        assert!(1_000_000 < now && now <= peak, "{now} {peak}");
    }
}
