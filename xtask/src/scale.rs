//! `cargo xtask scale`: what a distillation of a given size takes, from rates that were measured.
//!
//! ```text
//! teacher = 2 · parameters · tokens                once, its signals are kept
//! student = 6 · parameters · tokens · epochs
//! ```

use anyhow::{Result, bail};
use potstill::teachers::Keep;

/// Floating-point operations a second of the reference step (docs/performance.md: 666 GFLOP in 3.04 s).
const MEASURED_FLOPS: f64 = 666e9 / 3.04;
/// Rows a second that are read from a cache of the 50 likeliest (examples/cached-teacher, `--study`).
const MEASURED_READING: f64 = 1_976_430.0;
/// Tokens a second that are encoded and packed (docs/log.md).
const MEASURED_PACKING: f64 = 2_075_845.0;
/// Bytes of a shard of a cache ([`potstill::teachers::CacheConfig::new`]).
const SHARD: f64 = (64 << 20) as f64;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Parameters of the teacher.
    #[arg(long, default_value_t = 7e9)]
    teacher_params: f64,
    /// Parameters of the student.
    #[arg(long, default_value_t = 1e9)]
    student_params: f64,
    /// Tokens that count.
    #[arg(long, default_value_t = 10e9)]
    tokens: f64,
    /// Passes of the student over them.
    #[arg(long, default_value_t = 1.0)]
    epochs: f64,
    /// Tokens of the vocabulary.
    #[arg(long, default_value_t = 128_256)]
    vocab: usize,
    /// Likeliest tokens that are kept of each distribution.
    #[arg(long, default_value_t = 50)]
    top: usize,
    /// Accelerators that answer for the teacher.
    #[arg(long, default_value_t = 8.0)]
    teacher_devices: f64,
    /// Accelerators that train the student.
    #[arg(long, default_value_t = 8.0)]
    student_devices: f64,
    /// Peak of an accelerator, in floating-point operations a second: assumed, none was at hand.
    #[arg(long, default_value_t = 989e12)]
    peak: f64,
    /// The part of the peak that is reached: assumed.
    #[arg(long, default_value_t = 0.4)]
    utilization: f64,
    /// Bytes of JSON in which an endpoint tells of one position: assumed, 45 for each likely token.
    #[arg(long)]
    answer_bytes: Option<f64>,
    /// Bytes a second of the network between endpoints and the cache: assumed, 10 Gbit/s.
    #[arg(long, default_value_t = 1.25e9)]
    network: f64,
}

/// A part of the whole, with the time it takes here and with a fleet.
struct Part {
    name: &'static str,
    amount: String,
    here: f64,
    fleet: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for (name, value) in [
        ("--teacher-params", arguments.teacher_params),
        ("--student-params", arguments.student_params),
        ("--tokens", arguments.tokens),
        ("--epochs", arguments.epochs),
        ("--teacher-devices", arguments.teacher_devices),
        ("--student-devices", arguments.student_devices),
        ("--peak", arguments.peak),
        ("--utilization", arguments.utilization),
        ("--network", arguments.network),
    ] {
        if !(value.is_finite() && value > 0.0) {
            bail!("{name} is {value}, it must be a number above 0");
        }
    }
    let Some(row_bytes) = Keep::top_k(arguments.top).row_bytes(arguments.vocab)? else {
        bail!("rows of the likeliest tokens have one length");
    };
    let parts = parts(arguments, row_bytes as f64);
    println!("| work | amount | this machine | fleet |\n|---|---|---:|---:|");
    for part in &parts {
        let (here, fleet) = (time(part.here), time(part.fleet));
        println!("| {} | {} | {here} | {fleet} |", part.name, part.amount);
    }
    let cache = arguments.tokens * row_bytes as f64;
    println!(
        "\nThe cache: {row_bytes} bytes a token, {} in {:.0} shards. The student in training: {} of \
         weights, gradients and moments in f32, activations aside.",
        bytes(cache),
        (cache / SHARD).ceil(),
        bytes(16.0 * arguments.student_params)
    );
    let slowest = |time: fn(&Part) -> f64| {
        let slowest = parts.iter().max_by(|a, b| time(a).total_cmp(&time(b)));
        slowest.map_or("", |part| part.name)
    };
    println!(
        "What breaks first: here the {}, with the fleet the {}.",
        slowest(|part| part.here),
        slowest(|part| part.fleet)
    );
    Ok(())
}

fn parts(arguments: &Arguments, row_bytes: f64) -> Vec<Part> {
    let Arguments { tokens, epochs, .. } = *arguments;
    let accelerator = arguments.peak * arguments.utilization;
    let compute = |name, operations: f64, devices: f64| Part {
        name,
        amount: format!("{operations:.1e} FLOP"),
        here: operations / MEASURED_FLOPS,
        fleet: operations / (accelerator * devices),
    };
    let answer_bytes = arguments
        .answer_bytes
        .unwrap_or(45.0 * arguments.top as f64);
    let moved = tokens * answer_bytes / arguments.network;
    let read = tokens * epochs / MEASURED_READING;
    vec![
        Part {
            name: "encoding and packing",
            amount: format!("{tokens:.1e} tokens"),
            here: tokens / MEASURED_PACKING,
            fleet: tokens / MEASURED_PACKING,
        },
        compute(
            "teacher, forward",
            2.0 * arguments.teacher_params * tokens,
            arguments.teacher_devices,
        ),
        Part {
            name: "answers over the network",
            amount: bytes(tokens * answer_bytes),
            here: moved,
            fleet: moved,
        },
        Part {
            name: "reading the cache",
            amount: bytes(tokens * epochs * row_bytes),
            here: read,
            fleet: read / arguments.student_devices,
        },
        compute(
            "student, forward and backward",
            6.0 * arguments.student_params * tokens * epochs,
            arguments.student_devices,
        ),
    ]
}

fn time(seconds: f64) -> String {
    let hours = seconds / 3600.0;
    if hours < 48.0 {
        format!("{hours:.1} h")
    } else if hours < 2.0 * 8766.0 {
        format!("{:.1} days", hours / 24.0)
    } else {
        format!("{:.1} years", hours / 8766.0)
    }
}

fn bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let (unit, name) = units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .unwrap_or((1e3, "KB"));
    format!("{:.1} {name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn twice_the_tokens_take_twice_of_everything() {
        let parts = |tokens: &str| {
            let command = Command::parse_from(["scale", "--tokens", tokens]);
            parts(&command.arguments, 117.0)
        };
        for (one, two) in parts("1e9").iter().zip(&parts("2e9")) {
            assert_eq!(
                (2.0 * one.here, 2.0 * one.fleet),
                (two.here, two.fleet),
                "{}",
                one.name
            );
        }
    }

    #[test]
    fn quantities_are_written_for_people() {
        assert_eq!(
            [time(3600.0), time(864_000.0), time(3.2e9)],
            ["1.0 h", "10.0 days", "101.4 years"]
        );
        assert_eq!([bytes(1.17e12), bytes(2e3)], ["1.2 TB", "2.0 KB"]);
    }
}
