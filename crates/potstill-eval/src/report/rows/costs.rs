//! What of a profile is shown, and in which unit.

use crate::Profile;
use crate::number::{significant, thousands};

/// A row of the table of costs.
pub(super) struct Cost {
    pub(super) label: &'static str,
    pub(super) unit: &'static str,
    /// Whether it is among the first things to know.
    pub(super) brief: bool,
    pub(super) value: fn(&Profile) -> Option<String>,
}

const fn brief(
    label: &'static str,
    unit: &'static str,
    value: fn(&Profile) -> Option<String>,
) -> Cost {
    Cost {
        label,
        unit,
        brief: true,
        value,
    }
}

const fn more(
    label: &'static str,
    unit: &'static str,
    value: fn(&Profile) -> Option<String>,
) -> Cost {
    Cost {
        brief: false,
        ..brief(label, unit, value)
    }
}

pub(super) const ALL: [Cost; 20] = [
    brief("Parameters", "", |p| Some(thousands(p.parameters))),
    more("of these, vocabulary", "", |p| {
        Some(thousands(p.work?.vocabulary_parameters))
    }),
    brief("Size on disk ↓", "MB", |p| megabytes(p.disk_bytes?)),
    brief("Weights in memory ↓", "MB", |p| {
        megabytes(p.parameter_bytes)
    }),
    more("Cache for a token ↓", "kB", |p| {
        scaled(p.work?.cache_bytes_per_token as f64, 1e-3)
    }),
    more("Arithmetic to read a token ↓", "MFLOP", |p| {
        scaled(p.work?.prefill_flops, 1e-6)
    }),
    more("Arithmetic to write a token ↓", "MFLOP", |p| {
        scaled(p.work?.decode_flops, 1e-6)
    }),
    brief("Latency per answer ↓", "ms", |p| {
        scaled(p.latency_seconds, 1e3)
    }),
    more("Time to first token ↓", "ms", |p| {
        scaled(p.tokens?.first_token.p50, 1e3)
    }),
    more("Between tokens, median ↓", "ms", |p| {
        scaled(p.tokens?.between_tokens?.p50, 1e3)
    }),
    more("95 % of gaps below ↓", "ms", |p| {
        scaled(p.tokens?.between_tokens?.p95, 1e3)
    }),
    more("99 % of gaps below ↓", "ms", |p| {
        scaled(p.tokens?.between_tokens?.p99, 1e3)
    }),
    brief("Generation ↑", "tokens/s", |p| {
        scaled(p.generated_tokens_per_second, 1.0)
    }),
    brief("Prefill ↑", "tokens/s", |p| {
        scaled(p.prefill_tokens_per_second, 1.0)
    }),
    more("Decode ↑", "tokens/s", |p| {
        scaled(p.decode_tokens_per_second?, 1.0)
    }),
    brief("Peak memory of process ↓", "MB", |p| {
        megabytes(p.peak_rss_bytes?)
    }),
    more("Peak memory of measuring ↓", "MB", |p| {
        megabytes(p.own_peak_bytes?)
    }),
    more("Energy for a token ↓", "mJ", |p| {
        scaled(p.joules_per_token?, 1e3)
    }),
    more("A million tokens read ↓", "", |p| {
        let prices = p.prices.as_ref()?;
        price(prices.input_per_million, &prices.currency)
    }),
    more("A million tokens written ↓", "", |p| {
        let prices = p.prices.as_ref()?;
        price(prices.output_per_million, &prices.currency)
    }),
];

fn scaled(value: f64, factor: f64) -> Option<String> {
    Some(significant(factor * value))
}

fn megabytes(bytes: u64) -> Option<String> {
    scaled(bytes as f64, 1e-6)
}

fn price(amount: f64, currency: &str) -> Option<String> {
    Some(format!("{} {currency}", significant(amount)))
}
