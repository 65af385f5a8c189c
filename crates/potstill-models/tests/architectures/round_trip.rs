//! To disk and back.

use std::fs;

use burn::module::Module;
use burn::tensor::FloatDType;
use potstill_core::CausalLm;
use potstill_models::{
    BertEncoder, Checkpoint, Companions, Error, ModelConfig, SaveOptions, WeightDtype,
    save_encoder, save_pretrained, save_pretrained_with,
};
use potstill_testkit::{plain_device, read_safetensors};
use serde_json::Value;

use crate::fixture::{CAUSAL, Expected, floats, folder, language_model};
use crate::segments::models;

fn values(path: &std::path::Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    read_safetensors(path)
        .unwrap()
        .into_iter()
        .map(|(name, data)| (name, data.shape().to_vec(), data.as_bytes().to_vec()))
        .collect()
}

#[test]
fn saving_what_was_loaded_gives_the_same_tensors() {
    for name in CAUSAL {
        let saved = tempfile::tempdir().unwrap();
        save_pretrained(&language_model(name), saved.path(), &Companions::default()).unwrap();
        let original = values(&folder(name).join("model.safetensors"));
        assert_eq!(
            values(&saved.path().join("model.safetensors")),
            original,
            "{name}"
        );
    }
    let checkpoint = Checkpoint::open(folder("bert")).unwrap();
    let model = checkpoint
        .bert_encoder(FloatDType::F32, &plain_device())
        .unwrap();
    let saved = tempfile::tempdir().unwrap();
    save_encoder(
        &model,
        saved.path(),
        &Companions::default(),
        &SaveOptions::default(),
    )
    .unwrap();
    let original = values(&folder("bert").join("model.safetensors"));
    assert_eq!(values(&saved.path().join("model.safetensors")), original);
}

#[test]
fn a_config_survives_saving() {
    for name in CAUSAL.into_iter().chain(["bert"]) {
        let text = fs::read_to_string(folder(name).join("config.json")).unwrap();
        let config = ModelConfig::from_hf_json(&text).unwrap();
        assert_eq!(
            ModelConfig::from_hf_json(&config.to_hf_json()).unwrap(),
            config,
            "{name}"
        );
        let (old, new): (Value, Value) = (
            serde_json::from_str(&text).unwrap(),
            serde_json::from_str(&config.to_hf_json()).unwrap(),
        );
        for (key, value) in old.as_object().unwrap() {
            let rewritten = [
                "dtype",
                "transformers_version",
                "max_window_layers",
                "layer_types",
            ];
            if !rewritten.contains(&key.as_str()) {
                assert_eq!(&new[key], value, "{name}, {key}");
            }
        }
    }
}

#[test]
fn shards_load_like_one_file() {
    let options = SaveOptions {
        max_shard_bytes: 4096,
        ..SaveOptions::default()
    };
    for model in models() {
        let saved = tempfile::tempdir().unwrap();
        // A single file of an earlier save must not be preferred.
        save_pretrained(
            &language_model("llama"),
            saved.path(),
            &Companions::default(),
        )
        .unwrap();
        save_pretrained_with(&model, saved.path(), &Companions::default(), &options).unwrap();
        assert!(!saved.path().join("model.safetensors").exists());
        assert!(saved.path().join("model.safetensors.index.json").exists());
        let reloaded = Checkpoint::open(saved.path()).unwrap();
        let reloaded = reloaded
            .language_model(FloatDType::F32, &plain_device())
            .unwrap();
        let batch = Expected::of("llama").batch();
        // The fixture's ids reach beyond these small vocabularies.
        let mut batch = batch;
        batch.tokens = batch.tokens.clone().remainder_scalar(41);
        assert_eq!(
            floats(&reloaded.row_logits(&batch)),
            floats(&model.row_logits(&batch))
        );

        save_pretrained(&model, saved.path(), &Companions::default()).unwrap();
        let names: Vec<_> = fs::read_dir(saved.path()).unwrap().flatten().collect();
        assert!(
            names
                .iter()
                .all(|entry| !entry.file_name().to_string_lossy().contains("-of-"))
        );
    }
}

#[test]
fn half_precision_checkpoints_load_exactly() {
    let model = language_model("qwen3");
    let saved = tempfile::tempdir().unwrap();
    for (dtype, float) in [
        (WeightDtype::F16, FloatDType::F16),
        (WeightDtype::Bf16, FloatDType::BF16),
    ] {
        let options = SaveOptions {
            dtype,
            ..SaveOptions::default()
        };
        save_pretrained_with(&model, saved.path(), &Companions::default(), &options).unwrap();
        let once = values(&saved.path().join("model.safetensors"));
        let half = Checkpoint::open(saved.path()).unwrap();
        let half = half.language_model(float, &plain_device()).unwrap();
        save_pretrained_with(&half, saved.path(), &Companions::default(), &options).unwrap();
        assert_eq!(values(&saved.path().join("model.safetensors")), once);
        let config = fs::read_to_string(saved.path().join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let expected = if dtype == WeightDtype::F16 {
            "float16"
        } else {
            "bfloat16"
        };
        assert_eq!(config["dtype"], expected);
        assert_eq!(config["torch_dtype"], expected);
    }
}

#[test]
fn a_tied_model_has_one_table() {
    let saved = tempfile::tempdir().unwrap();
    save_pretrained(
        &language_model("llama"),
        saved.path(),
        &Companions::default(),
    )
    .unwrap();
    let tensors = read_safetensors(saved.path().join("model.safetensors")).unwrap();
    assert!(!tensors.contains_key("lm_head.weight"));
    let parameters: usize = tensors.values().map(|data| data.num_elements()).sum();
    assert_eq!(language_model("llama").num_params(), parameters);
}

#[test]
fn companions_are_written_and_read_back() {
    let saved = tempfile::tempdir().unwrap();
    let companions = Companions {
        tokenizer_json: Some("{}".into()),
        tokenizer_config: Some(r#"{"eos_token": "</s>"}"#.into()),
        special_tokens_map: Some(r#"{"bos_token": "<s>"}"#.into()),
        chat_template: Some("{{ messages }}".into()),
        generation_config: Some("{}".into()),
        model_card: Some("# A student".into()),
    };
    save_pretrained(&language_model("gpt2"), saved.path(), &companions).unwrap();
    let read = Checkpoint::open(saved.path())
        .unwrap()
        .companions()
        .unwrap();
    assert_eq!(
        read,
        Companions {
            model_card: None,
            ..companions
        }
    );
    assert_eq!(
        fs::read_to_string(saved.path().join("README.md")).unwrap(),
        "# A student"
    );
}

#[test]
fn generation_knows_the_tokens_of_the_config() {
    let saved = tempfile::tempdir().unwrap();
    save_pretrained(
        &language_model("llama"),
        saved.path(),
        &Companions::default(),
    )
    .unwrap();
    let text = fs::read_to_string(saved.path().join("generation_config.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["bos_token_id"], 1);
    assert_eq!(json["eos_token_id"], 2);
    assert_eq!(json["pad_token_id"], 0);
}

#[test]
fn kinds_are_not_mixed_up() {
    let device = plain_device();
    let bert = Checkpoint::open(folder("bert")).unwrap();
    let error = bert.language_model(FloatDType::F32, &device).unwrap_err();
    assert!(
        matches!(error, Error::WrongKind { found: "bert", .. }),
        "{error}"
    );
    let llama = Checkpoint::open(folder("llama")).unwrap();
    let error = llama.bert_encoder(FloatDType::F32, &device).unwrap_err();
    assert!(
        matches!(error, Error::WrongKind { found: "llama", .. }),
        "{error}"
    );
}

#[test]
fn a_fresh_encoder_survives_saving() {
    let text = fs::read_to_string(folder("bert").join("config.json")).unwrap();
    let config = ModelConfig::from_hf_json(&text).unwrap();
    let model = BertEncoder::init(&config, 3, &plain_device());
    let saved = tempfile::tempdir().unwrap();
    save_encoder(
        &model,
        saved.path(),
        &Companions::default(),
        &SaveOptions::default(),
    )
    .unwrap();
    let reloaded = Checkpoint::open(saved.path()).unwrap();
    let reloaded = reloaded
        .bert_encoder(FloatDType::F32, &plain_device())
        .unwrap();
    let batch = Expected::of("bert").batch();
    let taps = potstill_core::Taps::default();
    assert_eq!(
        floats(&reloaded.encode(&batch, &taps).hidden),
        floats(&model.encode(&batch, &taps).hidden)
    );
}
