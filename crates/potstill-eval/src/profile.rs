//! What a model costs: parameters, bytes, time. Everything is measured, nothing estimated.

use std::path::Path;
use std::time::Instant;

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use potstill_core::{CausalLm, Generate, GenerateOptions};
use serde::{Deserialize, Serialize};

use crate::bootstrap::quantile;
use crate::{Error, peak_rss_bytes};

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
        }
    }
}

/// What a model costs, on the machine and the prompts that it was measured with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Number of parameters; a tied one counts once.
    pub parameters: u64,
    /// Bytes of the parameters in memory.
    pub parameter_bytes: u64,
    /// Bytes of the saved model; see [`bytes_on_disk`].
    pub disk_bytes: Option<u64>,
    /// Median time of one whole answer to a single prompt, in seconds.
    pub latency_seconds: f64,
    /// Prompt tokens read each second, in batches, one new token each.
    pub prefill_tokens_per_second: f64,
    /// New tokens each second, in batches, reading of the prompts included.
    pub generated_tokens_per_second: f64,
    /// Peak resident memory of the whole process when the measurement ended; see [`peak_rss_bytes`].
    pub peak_rss_bytes: Option<u64>,
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
    let model = model.valid();
    let first_token = GenerateOptions {
        max_new_tokens: 1,
        ..options.generate.clone()
    };
    for _ in 0..options.warm_up {
        timed(&model, prompts, options.batch, &options.generate)?;
        timed(&model, &prompts[..1], 1, &options.generate)?;
    }
    let mut latencies = Vec::new();
    let mut prefills = Vec::new();
    let mut rounds = Vec::new();
    let mut new_tokens = 0;
    for _ in 0..options.repeats {
        for prompt in prompts {
            latencies.push(timed(&model, std::slice::from_ref(prompt), 1, &options.generate)?.0);
        }
        prefills.push(timed(&model, prompts, options.batch, &first_token)?.0);
        let (seconds, tokens) = timed(&model, prompts, options.batch, &options.generate)?;
        rounds.push(seconds);
        new_tokens = tokens;
    }
    let prompt_tokens = prompts.iter().map(Vec::len).sum();
    let mut size = ParameterSize::default();
    model.visit(&mut size);
    Ok(Profile {
        parameters: size.elements,
        parameter_bytes: size.bytes,
        disk_bytes,
        latency_seconds: median(latencies),
        prefill_tokens_per_second: prompt_tokens as f64 / median(prefills),
        generated_tokens_per_second: new_tokens as f64 / median(rounds),
        peak_rss_bytes: peak_rss_bytes(),
        prompts: prompts.len(),
        prompt_tokens,
        new_tokens,
        batch: options.batch,
        repeats: options.repeats,
    })
}

/// Bytes of a saved model: of one file, or of everything in a folder.
///
/// # Errors
///
/// When the file or folder cannot be read.
pub fn bytes_on_disk(path: &Path) -> Result<u64, Error> {
    let read = |source| Error::Read {
        path: path.into(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(read)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    std::fs::read_dir(path)
        .map_err(read)?
        .map(|entry| bytes_on_disk(&entry.map_err(read)?.path()))
        .sum()
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

#[derive(Default)]
struct ParameterSize {
    elements: u64,
    bytes: u64,
}

impl ParameterSize {
    fn add(&mut self, elements: usize, dtype: burn::tensor::DType) {
        self.elements += elements as u64;
        self.bytes += (elements * dtype.size()) as u64;
    }
}

impl ModuleVisitor for ParameterSize {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.add(tensor.shape().num_elements(), tensor.dtype());
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::{
        Encoded, FinishReason, GenerateError, Generation, LmHead, Taps, TokenBatch,
    };
    use potstill_testkit::{TinyLm, plain_device};

    use super::*;

    /// Repeats the last token of a prompt.
    #[derive(Module, Debug)]
    struct Parrot {
        model: TinyLm,
    }

    impl CausalLm for Parrot {
        fn encode(&self, batch: &TokenBatch, taps: &Taps) -> Encoded {
            self.model.encode(batch, taps)
        }
        fn head(&self) -> LmHead {
            self.model.head()
        }
        fn vocab_size(&self) -> usize {
            self.model.vocab_size()
        }
        fn n_layers(&self) -> usize {
            self.model.n_layers()
        }
        fn d_model(&self) -> usize {
            self.model.d_model()
        }
        fn max_positions(&self) -> usize {
            self.model.max_positions()
        }
    }

    impl Generate for Parrot {
        fn generate(
            &self,
            prompts: &[Vec<u32>],
            options: &GenerateOptions,
        ) -> Result<Vec<Generation>, GenerateError> {
            let repeat = |(prompt, tokens): (usize, &Vec<u32>)| {
                let last = *tokens.last().ok_or(GenerateError::EmptyPrompt { prompt })?;
                Ok(Generation {
                    tokens: vec![last; options.max_new_tokens],
                    log_probs: vec![0.0; options.max_new_tokens],
                    finish: FinishReason::Length,
                })
            };
            prompts.iter().enumerate().map(repeat).collect()
        }
    }

    fn parrot() -> Parrot {
        Parrot {
            model: TinyLm::new(7, 4, 1, 1, &plain_device()),
        }
    }

    fn options() -> ProfileOptions {
        ProfileOptions {
            batch: 2,
            repeats: 3,
            ..ProfileOptions::new(GenerateOptions::greedy(5))
        }
    }

    #[test]
    fn a_profile_counts_parameters_bytes_and_tokens() {
        let model = parrot();
        let prompts = [vec![1, 2, 3], vec![4], vec![5, 6]];
        let found = profile(&model, &prompts, Some(99), &options()).unwrap();
        assert_eq!(found.parameters, model.num_params() as u64);
        assert_eq!(found.parameter_bytes, 4 * found.parameters);
        assert_eq!(found.disk_bytes, Some(99));
        assert_eq!(
            (found.prompts, found.prompt_tokens, found.new_tokens),
            (3, 6, 15)
        );
        assert!(found.latency_seconds > 0.0);
        assert!(found.generated_tokens_per_second > found.prefill_tokens_per_second / 100.0);
        assert_eq!(found.peak_rss_bytes.is_some(), cfg!(unix));
    }

    #[test]
    fn nothing_to_measure_on_is_an_error() {
        let error = profile(&parrot(), &[], None, &options()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no prompt to evaluate on; give at least one"
        );
        let none = ProfileOptions {
            repeats: 0,
            ..options()
        };
        let error = profile(&parrot(), &[vec![1]], None, &none).unwrap_err();
        assert_eq!(error.to_string(), "repeats is 0, it must be at least 1");
        let error = profile(&parrot(), &[vec![]], None, &options()).unwrap_err();
        assert!(matches!(error, Error::Timing(_)), "{error}");
    }

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [0; 10]).unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/c"), [0; 7]).unwrap();
        assert_eq!(bytes_on_disk(folder.path()).unwrap(), 17);
        assert_eq!(bytes_on_disk(&folder.path().join("a")).unwrap(), 10);
        let error = bytes_on_disk(&folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
