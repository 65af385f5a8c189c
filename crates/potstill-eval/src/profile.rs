//! What a model costs: parameters, bytes, arithmetic, time, memory, energy, money.
//!
//! Times are measured, on the machine and the prompts at hand; what follows from the shape of a model
//! is computed. One round in which nothing is timed comes first.

mod bandwidth;
mod energy;
mod metrics;
mod price;
mod size;
mod stream;
mod token_latency;
mod work;

use std::time::Instant;

use potstill_core::{CausalLm, Generate, GenerateOptions};
use potstill_models::ModelConfig;
use potstill_teachers::Prices;
use serde::{Deserialize, Serialize};

use crate::bootstrap::quantile;
use crate::peak_memory::resident_bytes;
use crate::{Error, peak_rss_bytes};

pub use bandwidth::memory_bandwidth;
pub use energy::{EnergyMeter, EnergyReading};
pub use price::MachinePrice;
pub use size::{bytes_in_memory, bytes_on_disk};
pub use token_latency::{Quantiles, TokenLatency};
pub use work::TokenWork;

/// Settings of [`profile`].
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    /// Rounds that are run first and not timed.
    pub warm_up: usize,
    /// Rounds that are timed; the median counts.
    pub repeats: usize,
    /// Prompts that are continued together where throughput is measured.
    pub batch: usize,
    /// How an answer is generated.
    pub generate: GenerateOptions,
    /// What the model is: says how much it computes and reads for a token.
    pub config: Option<ModelConfig>,
    /// Counts joules; by default those of the machine, where it does.
    pub energy: Option<EnergyMeter>,
    /// What the machine costs: turns speed into a price.
    pub machine: Option<MachinePrice>,
}

impl ProfileOptions {
    /// One round to warm up, five that count, batches of 16.
    #[must_use]
    pub fn new(generate: GenerateOptions) -> Self {
        Self {
            warm_up: 1,
            repeats: 5,
            batch: 16,
            generate,
            config: None,
            energy: EnergyMeter::of_machine(),
            machine: None,
        }
    }

    /// The same for a model of this configuration.
    #[must_use]
    pub fn with_config(mut self, config: &ModelConfig) -> Self {
        self.config = Some(config.clone());
        self
    }
}

/// What a model costs, on the machine and the prompts that it was measured with.
///
/// What is `None` was not asked for, or cannot be told on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Number of parameters; a tied one counts once.
    pub parameters: u64,
    /// Bytes of the parameters in memory.
    pub parameter_bytes: u64,
    /// Bytes of the saved model; see [`bytes_on_disk`].
    pub disk_bytes: Option<u64>,
    /// What a token takes, by the shape of the model.
    #[serde(default)]
    pub work: Option<TokenWork>,
    /// Median time of one whole answer to a single prompt, in seconds.
    pub latency_seconds: f64,
    /// When the tokens of single answers come.
    #[serde(default)]
    pub tokens: Option<TokenLatency>,
    /// Prompt tokens read each second, in batches, one new token each.
    pub prefill_tokens_per_second: f64,
    /// New tokens each second, in batches, after the first of each answer: reading the prompts is not
    /// part of it. `None` where answers have one token, or the difference drowns in noise.
    #[serde(default)]
    pub decode_tokens_per_second: Option<f64>,
    /// New tokens each second, in batches, reading of the prompts included.
    pub generated_tokens_per_second: f64,
    /// Bytes each second that this machine reads from memory; see [`memory_bandwidth`].
    #[serde(default)]
    pub memory_bandwidth: Option<f64>,
    /// Peak resident memory of the whole process when the measurement ended; see [`peak_rss_bytes`].
    pub peak_rss_bytes: Option<u64>,
    /// How far that peak lies above what was resident when the measurement began, which is what the
    /// measurement itself needed. `None` where the process had needed more before.
    #[serde(default)]
    pub own_peak_bytes: Option<u64>,
    /// Joules of the machine's processors and memory for each new token, in batches, prompts included:
    /// what everything else on the machine used meanwhile is part of it.
    #[serde(default)]
    pub joules_per_token: Option<f64>,
    /// What a million tokens cost: what the price of the machine comes to at this speed, or what an
    /// endpoint charges.
    #[serde(default)]
    pub prices: Option<Prices>,
    /// Number of prompts.
    pub prompts: usize,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Tokens of all answers of one round.
    pub new_tokens: usize,
    /// Prompts in a batch.
    pub batch: usize,
    /// Timed rounds.
    pub repeats: usize,
}

/// Measures `model` on `prompts`.
///
/// `disk_bytes` is what [`bytes_on_disk`] says of its saved form, where there is one.
///
/// # Errors
///
/// When there are no prompts, a setting is 0, or a prompt cannot be continued.
pub fn profile<M: CausalLm + Generate>(
    model: &M,
    prompts: &[Vec<u32>],
    disk_bytes: Option<u64>,
    options: &ProfileOptions,
) -> Result<Profile, Error> {
    if prompts.is_empty() {
        return Err(Error::Empty { what: "prompt" });
    }
    for (name, value) in [("repeats", options.repeats), ("batch", options.batch)] {
        if value == 0 {
            return Err(Error::Setting {
                name,
                value: "0".into(),
                expected: "at least 1",
            });
        }
    }
    let (resident, peak) = (resident_bytes(), peak_rss_bytes());
    let model = model.valid();
    let first_token = GenerateOptions {
        max_new_tokens: 1,
        ..options.generate.clone()
    };
    for _ in 0..options.warm_up {
        timed(&model, prompts, options.batch, &options.generate)?;
        timed(&model, &prompts[..1], 1, &options.generate)?;
    }
    let mut rounds = Rounds::default();
    for _ in 0..options.repeats {
        for prompt in prompts {
            let (seconds, arrivals) = stream::timed(&model, prompt, &options.generate)?;
            rounds.alone.push(seconds);
            rounds.arrivals.push(arrivals);
        }
        let prefill = timed(&model, prompts, options.batch, &first_token)?.0;
        rounds.prefill.push(prefill);
        let before = options.energy.as_ref().and_then(EnergyMeter::read);
        let (seconds, tokens) = timed(&model, prompts, options.batch, &options.generate)?;
        rounds.whole.push(seconds);
        rounds.new_tokens = tokens;
        let after_it = options.energy.as_ref().zip(before);
        rounds
            .joules
            .push(after_it.and_then(|(meter, before)| meter.joules_since(&before)));
    }
    let (parameters, parameter_bytes) = size::of_parameters(&model);
    let prompt_tokens: usize = prompts.iter().map(Vec::len).sum();
    let (prefill, whole) = (median(rounds.prefill), median(rounds.whole));
    let new_tokens = rounds.new_tokens;
    let after_first = new_tokens.saturating_sub(prompts.len());
    let prefill_rate = prompt_tokens as f64 / prefill;
    let decode_rate =
        (after_first > 0 && whole > prefill).then(|| after_first as f64 / (whole - prefill));
    let arrivals: Option<Vec<Vec<f64>>> = rounds.arrivals.into_iter().collect();
    let joules: Option<f64> = rounds.joules.into_iter().sum();
    let peak_rss_bytes = peak_rss_bytes();
    let grown = peak_rss_bytes.zip(peak).filter(|(now, then)| now > then);
    Ok(Profile {
        parameters,
        parameter_bytes,
        disk_bytes,
        work: options.config.as_ref().map(|config| {
            let middle = prompt_tokens + new_tokens / 2;
            TokenWork::of(config, middle.div_ceil(prompts.len()))
        }),
        latency_seconds: median(rounds.alone),
        tokens: arrivals.and_then(|answers| TokenLatency::of(&answers)),
        prefill_tokens_per_second: prefill_rate,
        decode_tokens_per_second: decode_rate,
        generated_tokens_per_second: new_tokens as f64 / whole,
        memory_bandwidth: options.config.is_some().then(memory_bandwidth),
        peak_rss_bytes,
        own_peak_bytes: grown
            .zip(resident)
            .map(|((now, _), resident)| now.saturating_sub(resident)),
        joules_per_token: joules
            .filter(|_| new_tokens > 0)
            .map(|joules| joules / (options.repeats * new_tokens) as f64),
        prices: options
            .machine
            .as_ref()
            .zip(decode_rate)
            .map(|(machine, decode)| machine.prices(prefill_rate, decode)),
        prompts: prompts.len(),
        prompt_tokens,
        new_tokens,
        batch: options.batch,
        repeats: options.repeats,
    })
}

/// What was measured, round by round.
#[derive(Default)]
struct Rounds {
    /// Seconds of single answers.
    alone: Vec<f64>,
    /// When their tokens came, where that can be told.
    arrivals: Vec<Option<Vec<f64>>>,
    /// Seconds of all prompts in batches, one new token each.
    prefill: Vec<f64>,
    /// The same with whole answers.
    whole: Vec<f64>,
    /// Joules of whole answers.
    joules: Vec<Option<f64>>,
    new_tokens: usize,
}

/// Seconds to continue all prompts, batch by batch, and the number of new tokens.
fn timed<M: Generate>(
    model: &M,
    prompts: &[Vec<u32>],
    batch: usize,
    options: &GenerateOptions,
) -> Result<(f64, usize), Error> {
    let start = Instant::now();
    let mut new_tokens = 0;
    for batch in prompts.chunks(batch) {
        let generations = model.generate(batch, options).map_err(Error::Timing)?;
        new_tokens += generations
            .iter()
            .map(|generation| generation.tokens.len())
            .sum::<usize>();
    }
    Ok((
        start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
        new_tokens,
    ))
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    quantile(&seconds, 0.5)
}

#[cfg(test)]
mod tests;
