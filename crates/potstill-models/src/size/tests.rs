//! Counts, rates and budgets.

use burn::module::Module;
use burn::prelude::*;

use super::*;
use crate::{Architecture, LanguageModel};

fn smollm2() -> ModelConfig {
    let mut config = ModelConfig::new(Architecture::Llama, 49_152, 576, 30, 9);
    (config.n_kv_heads, config.d_ff, config.tie_word_embeddings) = (3, 1536, true);
    config
}

#[test]
fn counts_are_those_of_the_models() {
    for architecture in [
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Gpt2,
    ] {
        for tied in [true, false] {
            let mut config = ModelConfig::new(architecture, 40, 16, 3, 4);
            if architecture != Architecture::Gpt2 {
                (config.n_kv_heads, config.head_dim) = (2, 6);
            }
            (config.d_ff, config.tie_word_embeddings) = (24, tied);
            config.head_rank = (!tied).then_some(5);
            let model = LanguageModel::init(&config, 0, &Device::default());
            assert_eq!(config.parameter_count(), model.num_params(), "{config:?}");
        }
    }
    assert_eq!(smollm2().parameter_count(), 134_515_008);
}

#[test]
fn a_head_of_its_own_is_read_and_the_embeddings_are_not() {
    let mut config = smollm2();
    let tied = StoredAs::F32.bytes_per_token(&config);
    assert_eq!(tied, StoredAs::F32.bytes(&config));
    config.tie_word_embeddings = false;
    assert_eq!(StoredAs::F32.bytes_per_token(&config), tied);
    assert_eq!(StoredAs::F32.bytes(&config), tied + 4 * 49_152 * 576);
    let [half, int8, int4] =
        [StoredAs::Half, StoredAs::Int8, StoredAs::Int4].map(|stored| stored.bytes(&config));
    assert!(half > int8 && int8 > int4);
}

#[test]
fn a_rate_is_found_again_from_its_own_times() {
    let rate = DecodeRate {
        bytes_per_second: 2e10,
        seconds_per_block: 3e-5,
    };
    let measured = |config: ModelConfig, stored| MeasuredDecoding {
        seconds_per_token: rate.seconds_per_token(&config, stored),
        config,
        stored,
    };
    let shallow = ModelConfig {
        n_layers: 10,
        ..smollm2()
    };
    let found = DecodeRate::fit(&[
        measured(smollm2(), StoredAs::F32),
        measured(smollm2(), StoredAs::Half),
        measured(shallow, StoredAs::F32),
    ]);
    assert!((found.bytes_per_second / rate.bytes_per_second - 1.0).abs() < 1e-6);
    assert!((found.seconds_per_block / rate.seconds_per_block - 1.0).abs() < 1e-6);
    let alone = DecodeRate::fit(&[measured(smollm2(), StoredAs::F32)]);
    assert_eq!(alone.seconds_per_block, 0.0);
    let expected = rate.seconds_per_token(&smollm2(), StoredAs::F32);
    let found = alone.seconds_per_token(&smollm2(), StoredAs::F32);
    assert!((found / expected - 1.0).abs() < 1e-9);
}

#[test]
fn every_student_fits_and_one_more_layer_would_not() {
    let rate = DecodeRate {
        bytes_per_second: 1e10,
        seconds_per_block: 1e-5,
    };
    let unlimited = Budget::stored(StoredAs::Int8);
    for budget in [
        Budget {
            parameters: Some(60_000_000),
            ..unlimited.clone()
        },
        Budget {
            bytes: Some(50_000_000),
            ..unlimited.clone()
        },
        Budget {
            time: Some(TimeLimit {
                milliseconds_per_token: 4.0,
                rate,
            }),
            ..unlimited.clone()
        },
    ] {
        let options = SizeOptions {
            vocab_sizes: vec![49_152, 8192],
            ..SizeOptions::default()
        };
        let students = students_that_fit(&smollm2(), &budget, &options).unwrap();
        assert!(students.len() > 2, "{students:?}");
        for found in &students {
            assert!(budget.allows(found));
            let layers = found.shape.n_layers.unwrap();
            let mut config = found.shape.config(&smollm2()).unwrap();
            config.vocab_size = found.vocab_size;
            assert_eq!(config.parameter_count(), found.parameters);
            let width = config.n_kv_heads as f64 / 3.0;
            if layers < 30 {
                let deeper =
                    student(&smollm2(), width, found.vocab_size, layers + 1, &budget).unwrap();
                let wide = found.shape.d_ff == deeper.shape.d_ff;
                assert!(!wide || !budget.allows(&deeper), "{found}");
            }
        }
        assert!(students.is_sorted_by_key(|student| std::cmp::Reverse(student.block_parameters)));
    }
}

#[test]
fn a_budget_that_nothing_fits_names_the_smallest_student() {
    let budget = Budget {
        parameters: Some(1000),
        ..Budget::stored(StoredAs::F32)
    };
    let error = students_that_fit(&smollm2(), &budget, &SizeOptions::default()).unwrap_err();
    assert!(error.to_string().contains("1 layers"), "{error}");
    let options = SizeOptions {
        vocab_sizes: vec![50_000],
        ..SizeOptions::default()
    };
    let error = students_that_fit(&smollm2(), &budget, &options).unwrap_err();
    assert!(error.to_string().contains("49152"), "{error}");
}
