//! How much memory the process has needed so far.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The largest resident set so far, in megabytes, where the kernel tells.
pub(crate) fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000)
}

/// The peak at the end of each stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks(Rc<RefCell<BTreeMap<String, u64>>>);

impl Peaks {
    pub(crate) fn note(&self, stage: &str) {
        if let Some(peak) = peak_megabytes() {
            self.0.borrow_mut().insert(stage.to_owned(), peak);
        }
    }

    /// The peak when `stage` had ended; stages that share a chunk end together.
    pub(crate) fn of(&self, stage: &str) -> Option<u64> {
        self.0.borrow().get(stage).copied()
    }
}
