//! Counters for Prometheus.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::engine::Load;

/// What `/metrics` shows.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    prompt_tokens: Counter,
    generated_tokens: Counter,
    first_token: Histogram,
    whole_answer: Histogram,
    waiting: Gauge,
    running: Gauge,
    resident_memory: Gauge<u64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    status: u16,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            prompt_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            first_token: seconds(),
            whole_answer: seconds(),
            waiting: Gauge::default(),
            running: Gauge::default(),
            resident_memory: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let memory = self.resident_memory.clone();
        registry.register_with_unit(
            "process_resident_memory",
            "Memory of the process",
            Unit::Bytes,
            memory,
        );
        let own = registry.sub_registry_with_prefix("potstill");
        own.register("requests", "Requests answered", self.requests.clone());
        own.register(
            "prompt_tokens",
            "Prompt tokens taken in",
            self.prompt_tokens.clone(),
        );
        own.register(
            "generated_tokens",
            "Tokens generated",
            self.generated_tokens.clone(),
        );
        own.register(
            "waiting_sequences",
            "Sequences not yet begun",
            self.waiting.clone(),
        );
        own.register(
            "running_sequences",
            "Sequences being continued",
            self.running.clone(),
        );
        own.register_with_unit(
            "time_to_first_token",
            "From the request to its first new token",
            Unit::Seconds,
            self.first_token.clone(),
        );
        own.register_with_unit(
            "answer_time",
            "From the request to the end of its answer",
            Unit::Seconds,
            self.whole_answer.clone(),
        );
        self
    }

    pub(super) fn request(&self, endpoint: &'static str, status: u16) {
        self.requests
            .get_or_create(&RequestLabels { endpoint, status })
            .inc();
    }

    pub(super) fn prompt(&self, tokens: usize) {
        self.prompt_tokens.inc_by(tokens as u64);
    }

    pub(super) fn generated(&self) {
        self.generated_tokens.inc();
    }

    pub(super) fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    pub(super) fn whole_answer(&self, after: Duration) {
        self.whole_answer.observe(after.as_secs_f64());
    }

    /// OpenMetrics text.
    pub(super) fn text(&self, load: &Load) -> Result<String, fmt::Error> {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.waiting.set(gauge(load.waiting()));
        self.running.set(gauge(load.running()));
        self.resident_memory.set(resident_memory().unwrap_or(0));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Bytes of memory that the process occupies, where the system says.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
