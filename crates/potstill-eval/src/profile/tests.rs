//! Profiles of models whose speed and answers are known.

use std::time::Duration;

use burn::module::Param;
use burn::prelude::*;
use potstill_core::{
    Encoded, FinishReason, GenerateError, Generation, LmHead, StopRule, Taps, TokenBatch,
};
use potstill_models::Architecture;
use potstill_testkit::{TinyLm, plain_device};

use super::*;
use crate::{Better, Metric, Results};

/// Time that it takes to hear a prompt, and to say a word.
const HEARING: Duration = Duration::from_millis(4);
const SAYING: Duration = Duration::from_millis(1);

/// Repeats the last token of a prompt.
#[derive(Module, Debug)]
struct Parrot {
    model: TinyLm,
    /// Whether it can be interrupted.
    listens: bool,
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
            std::thread::sleep(HEARING);
            let mut said = Vec::new();
            for _ in 0..options.max_new_tokens {
                std::thread::sleep(SAYING);
                said.push(last);
                let rule = options.stop_rule.as_ref().filter(|_| self.listens);
                if rule.is_some_and(|rule| rule.stops(&said)) {
                    break;
                }
            }
            Ok(Generation {
                log_probs: vec![0.0; said.len()],
                tokens: said,
                finish: FinishReason::Length,
            })
        };
        prompts.iter().enumerate().map(repeat).collect()
    }
}

fn parrot() -> Parrot {
    Parrot {
        model: TinyLm::new(7, 4, 1, 1, &plain_device()),
        listens: true,
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
fn waiting_is_measured_token_by_token() {
    let prompts = [vec![1, 2], vec![3]];
    let found = profile(&parrot(), &prompts, None, &options()).unwrap();
    let tokens = found.tokens.unwrap();
    assert_eq!((tokens.answers, tokens.tokens), (6, 30));
    assert!(tokens.first_token.p50 >= (HEARING + SAYING).as_secs_f64());
    assert!(tokens.between_tokens.unwrap().p50 >= SAYING.as_secs_f64());
    assert!(tokens.decode_tokens_per_second.unwrap() <= 1.0 / SAYING.as_secs_f64());
    assert!(found.latency_seconds >= (HEARING + 5 * SAYING).as_secs_f64());
}

#[test]
fn the_own_stop_rule_still_holds_while_it_is_listened_to() {
    let mut options = options();
    options.generate.stop_rule = Some(StopRule::new(|said| said.len() == 2));
    let found = profile(&parrot(), &[vec![1]], None, &options).unwrap();
    assert_eq!(found.new_tokens, 2);
    assert_eq!(found.tokens.unwrap().tokens, 6);
}

#[test]
fn a_model_that_does_not_listen_is_timed_as_a_whole_only() {
    let deaf = Parrot {
        listens: false,
        ..parrot()
    };
    let found = profile(&deaf, &[vec![1]], None, &options()).unwrap();
    assert_eq!(found.tokens, None);
    assert!(found.latency_seconds > 0.0);
}

#[test]
fn shape_energy_and_price_count_where_they_are_given() {
    let root = tempfile::tempdir().unwrap();
    let zone = root.path().join("intel-rapl:0");
    std::fs::create_dir(&zone).unwrap();
    for (file, text) in [
        ("name", "package-0"),
        ("energy_uj", "7"),
        ("max_energy_range_uj", "100"),
    ] {
        std::fs::write(zone.join(file), text).unwrap();
    }
    let config = ModelConfig::new(Architecture::Llama, 7, 4, 1, 1);
    let options = ProfileOptions {
        energy: EnergyMeter::open(root.path()),
        machine: Some(MachinePrice::new(0.36, "EUR")),
        ..options().with_config(&config)
    };
    let found = profile(&parrot(), &[vec![1, 2, 3], vec![4]], None, &options).unwrap();
    // Two tokens a prompt on average, and half of the five that follow.
    assert_eq!(found.work, Some(TokenWork::of(&config, 5)));
    assert!(found.memory_bandwidth.is_some());
    assert_eq!(found.joules_per_token, Some(0.0));
    assert_eq!(
        found.prices.is_some(),
        found.decode_tokens_per_second.is_some()
    );
    let without = profile(
        &parrot(),
        &[vec![1]],
        None,
        &ProfileOptions {
            energy: None,
            ..self::options()
        },
    );
    assert_eq!(without.unwrap().joules_per_token, None);
}

#[test]
fn a_profile_of_an_older_version_is_read_and_a_profile_is_metrics() {
    let old = r#"{"parameters": 10, "parameter_bytes": 40, "disk_bytes": null,
        "latency_seconds": 0.5, "prefill_tokens_per_second": 100.0,
        "generated_tokens_per_second": 20.0, "peak_rss_bytes": null, "prompts": 1,
        "prompt_tokens": 3, "new_tokens": 4, "batch": 1, "repeats": 1}"#;
    let found: Profile = serde_json::from_str(old).unwrap();
    assert_eq!(
        (found.tokens, found.work, &found.prices),
        (None, None, &None)
    );
    let results = Results::new("old")
        .with_metric("parameters", Metric::of_value(Better::Lower, 9.0))
        .with_profile(&found);
    let names: Vec<&str> = results.metrics.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "latency_seconds",
            "parameter_bytes",
            "parameters",
            "prefill_tokens_per_second"
        ]
    );
    assert_eq!(results.metrics["parameters"].value, 9.0);
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

#[test]
fn scales_of_quantized_weights_take_memory() {
    use burn::tensor::quantization::{QuantScheme, QuantValue, ScaleDtype};
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .per_block([32, 1], ScaleDtype::F32);
    let weight = Tensor::<2>::ones([64, 10], &plain_device());
    assert_eq!(bytes_in_memory(&Param::from_tensor(weight.clone())), 2560);
    let quantized = Param::from_tensor(weight.quantize_dynamic(&scheme));
    assert_eq!(bytes_in_memory(&quantized), 640 + 4 * 20);
}
