//! How much memory the process needs, and has needed so far.

/// The largest resident set of this process since it started, in bytes; `None` where the operating
/// system does not tell.
///
/// It counts everything that the process has ever held at once, and never falls.
#[cfg(unix)]
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};

    // macOS and iOS count bytes, the other systems kibibytes.
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    u64::try_from(usage.max_rss()).ok().map(|size| size * unit)
}

/// The largest resident set of this process since it started, in bytes; `None` where the operating
/// system does not tell.
///
/// It counts everything that the process has ever held at once, and never falls.
#[cfg(not(unix))]
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    None
}

/// Bytes of this process that are in memory now; `None` where the operating system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(1024 * kibibytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn grows_by_what_is_allocated_and_written() {
        let before = peak_rss_bytes().unwrap();
        let size = before as usize + (64 << 20);
        let block = std::hint::black_box(vec![1u8; size]);
        assert!(peak_rss_bytes().unwrap() >= size as u64);
        assert_eq!(resident_bytes().is_some(), cfg!(target_os = "linux"));
        assert!(resident_bytes().is_none_or(|resident| resident >= size as u64));
        drop(block);
        assert!(
            before > 100_000,
            "{before} bytes are too few for any process"
        );
    }
}
