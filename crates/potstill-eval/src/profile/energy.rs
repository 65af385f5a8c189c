//! Joules, where the processor counts them.

use std::fs;
use std::path::{Path, PathBuf};

/// The energy that the processors and their memory use, by RAPL (Running Average Power Limit), the
/// counters of Intel's and AMD's processors that Linux shows as files.
///
/// Counts packages and DRAM, each once: cores and graphics are part of a package, and what `psys`
/// and the second path to the same counters (`intel-rapl-mmio`) say is left out. Most systems let only
/// root read the counters.
#[derive(Clone, Debug)]
pub struct EnergyMeter {
    zones: Vec<Zone>,
}

#[derive(Clone, Debug)]
struct Zone {
    counter: PathBuf,
    /// Where the counter starts again from 0, in microjoules.
    range: u64,
}

/// What the counters said at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnergyReading {
    microjoules: Vec<u64>,
}

impl EnergyMeter {
    /// The meter of this machine; `None` where there is none, or it may not be read.
    #[must_use]
    pub fn of_machine() -> Option<Self> {
        Self::open(Path::new("/sys/class/powercap"))
    }

    /// The meter below `root`, a folder with one folder a zone as in `/sys/class/powercap`; `None`
    /// where there is none, or it may not be read.
    #[must_use]
    pub fn open(root: &Path) -> Option<Self> {
        let mut zones = Vec::new();
        for entry in fs::read_dir(root).ok()? {
            let folder = entry.ok()?.path();
            let is_zone = |name: &str| name.starts_with("intel-rapl:");
            if !folder.file_name()?.to_str().is_some_and(is_zone) {
                continue;
            }
            let name = fs::read_to_string(folder.join("name")).ok()?;
            if name.starts_with("package") || name.trim() == "dram" {
                zones.push(Zone {
                    range: number(&folder.join("max_energy_range_uj"))?,
                    counter: folder.join("energy_uj"),
                });
            }
        }
        let meter = Self { zones };
        (!meter.zones.is_empty() && meter.read().is_some()).then_some(meter)
    }

    /// What the counters say now.
    #[must_use]
    pub fn read(&self) -> Option<EnergyReading> {
        let counters = self.zones.iter().map(|zone| number(&zone.counter));
        Some(EnergyReading {
            microjoules: counters.collect::<Option<_>>()?,
        })
    }

    /// Joules since `before`, which this meter gave.
    ///
    /// A counter that has started again in between is understood, but not one that did twice: read at
    /// least every few minutes.
    #[must_use]
    pub fn joules_since(&self, before: &EnergyReading) -> Option<f64> {
        let now = self.read()?;
        let used = |((zone, before), now): ((&Zone, &u64), &u64)| {
            now.checked_sub(*before)
                .unwrap_or_else(|| zone.range.saturating_sub(*before).saturating_add(*now))
        };
        let pairs = self.zones.iter().zip(&before.microjoules);
        let microjoules: u64 = pairs.zip(&now.microjoules).map(used).sum();
        Some(microjoules as f64 / 1e6)
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(root: &Path, folder: &str, name: &str, microjoules: u64) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [
            ("name", format!("{name}\n")),
            ("energy_uj", format!("{microjoules}\n")),
            ("max_energy_range_uj", "262143328850\n".into()),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 5_000_000);
        zone(root.path(), "intel-rapl:0:0", "core", 4_000_000);
        zone(root.path(), "intel-rapl:0:1", "dram", 262_143_328_000);
        zone(root.path(), "intel-rapl:1", "psys", 9_000_000);
        zone(root.path(), "intel-rapl-mmio:0", "package-0", 5_000_000);
        fs::create_dir(root.path().join("intel-rapl")).unwrap();
        root
    }

    #[test]
    fn packages_and_memory_count_once_and_a_counter_may_start_again() {
        let root = machine();
        let meter = EnergyMeter::open(root.path()).unwrap();
        let before = meter.read().unwrap();
        assert_eq!(meter.joules_since(&before), Some(0.0));
        for name in ["intel-rapl:0", "intel-rapl-mmio:0"] {
            zone(root.path(), name, "package-0", 7_500_000);
        }
        zone(root.path(), "intel-rapl:0:0", "core", 6_000_000);
        zone(root.path(), "intel-rapl:0:1", "dram", 999_150);
        assert_eq!(meter.joules_since(&before), Some(2.5 + 1.0));
    }

    #[test]
    fn a_machine_without_counters_has_no_meter() {
        let root = tempfile::tempdir().unwrap();
        assert!(EnergyMeter::open(&root.path().join("missing")).is_none());
        assert!(EnergyMeter::open(root.path()).is_none());
        zone(root.path(), "intel-rapl:1", "psys", 9);
        assert!(EnergyMeter::open(root.path()).is_none());
    }

    #[test]
    fn a_counter_that_cannot_be_read_is_no_meter_and_no_number() {
        let root = machine();
        let meter = EnergyMeter::open(root.path()).unwrap();
        let before = meter.read().unwrap();
        fs::write(root.path().join("intel-rapl:0/energy_uj"), "many").unwrap();
        assert_eq!(meter.joules_since(&before), None);
        assert!(EnergyMeter::open(root.path()).is_none());
    }
}
