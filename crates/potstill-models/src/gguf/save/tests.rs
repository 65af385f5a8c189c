//! Models that are written are read back as what they were.

use std::path::{Path, PathBuf};

use burn::prelude::*;
use burn::tensor::FloatDType;

use super::*;
use crate::gguf::tests::small;
use crate::{Architecture, Checkpoint, GgufFile, Matrices, ModelConfig, WeightBlocks, dequantize};

fn fixture(name: &str) -> LanguageModel {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name);
    loaded(&folder)
}

fn loaded(path: &Path) -> LanguageModel {
    let checkpoint = Checkpoint::open(path).unwrap();
    let device = Device::default();
    checkpoint.language_model(FloatDType::F32, &device).unwrap()
}

fn written(model: &LanguageModel, options: &GgufOptions) -> (LanguageModel, GgufSummary) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let summary = save_gguf(model, &path, &Companions::default(), options).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), summary.bytes);
    (loaded(&path), summary)
}

/// Random weights; rows of 256 and, in the MLP's last matrix, of 96.
fn wide() -> LanguageModel {
    let mut config = ModelConfig::new(Architecture::Llama, 40, 256, 1, 4);
    config.d_ff = 96;
    LanguageModel::init(&config, 3, &Device::default())
}

#[test]
fn f32_is_the_same_model() {
    for name in ["llama", "llama3_rope", "mistral", "qwen2", "qwen3"] {
        let model = fixture(name);
        let (read, _) = written(&model, &GgufOptions::new(BlockType::F32));
        let (before, after) = (ModelSource::new(&model), ModelSource::new(&read));
        assert_eq!(before.names(), after.names(), "{name}");
        for tensor in before.names() {
            assert_eq!(before.read(&tensor).unwrap(), after.read(&tensor).unwrap());
        }
        let (wrote, found) = (model.config(), read.config());
        let expected = ModelConfig {
            architecture: found.architecture,
            extra: found.extra.clone(),
            rope: found.rope.clone(),
            // A file names one token that ends a text.
            eos_token_ids: wrote.eos_token_ids.iter().copied().take(1).collect(),
            sliding_window: wrote.effective_window(),
            ..wrote.clone()
        };
        assert_eq!(*found, expected, "{name}");
        let frequencies =
            |config: &ModelConfig| config.rope.clone().unwrap().frequencies(config.head_dim);
        for (found, wrote) in frequencies(found).iter().zip(frequencies(wrote)) {
            assert!(
                (found / wrote - 1.0).abs() < 1e-6,
                "{name}: {found} {wrote}"
            );
        }
    }
}

#[test]
fn other_types_are_their_decoded_blocks() {
    let model = wide();
    for blocks in [
        BlockType::F16,
        BlockType::Bf16,
        BlockType::Q8_0,
        BlockType::Q5_0,
        BlockType::Q4_0,
        BlockType::Q4K,
    ] {
        let options = GgufOptions::new(blocks);
        let (read, summary) = written(&model, &options);
        let (before, after) = (ModelSource::new(&model), ModelSource::new(&read));
        for name in before.names() {
            let shape = before.shape(&name).unwrap();
            let stored = match (
                shape.as_slice(),
                name.contains("embed") || name == "lm_head.weight",
            ) {
                ([_], _) => BlockType::F32,
                (_, true) => options.table_blocks,
                ([_, 96], _) if blocks == BlockType::Q4K => BlockType::Q5_0,
                _ => blocks,
            };
            // In the order of the file: blocks never span rows, so reordered rows change nothing.
            let encoded = quantize(stored, &before.read(&name).unwrap()).unwrap();
            assert_eq!(
                after.read(&name).unwrap(),
                dequantize(stored, &encoded).unwrap(),
                "{blocks} {name}"
            );
        }
        let widened: Vec<&str> = summary.widened.iter().map(|it| it.name.as_str()).collect();
        match blocks {
            BlockType::Q4K => assert_eq!(widened, ["blk.0.ffn_down.weight"]),
            _ => assert!(widened.is_empty(), "{blocks}"),
        }
    }
}

#[test]
fn rows_that_are_no_whole_blocks_are_stored_wider_and_named() {
    let mut config = ModelConfig::new(Architecture::Llama, 40, 64, 1, 2);
    config.d_ff = 48;
    let model = LanguageModel::init(&config, 3, &Device::default());
    let (_, summary) = written(&model, &GgufOptions::new(BlockType::Q4K));
    let stored = |name: &str| {
        let name = format!("blk.0.{name}.weight");
        let found = summary.widened.iter().find(|it| it.name == name)?;
        Some((found.row, found.asked, found.stored))
    };
    let asked = BlockType::Q4K;
    assert_eq!(stored("attn_q"), Some((64, asked, BlockType::Q5_0)));
    assert_eq!(stored("ffn_down"), Some((48, asked, BlockType::F16)));
    assert_eq!(stored("attn_norm"), None);
    let count = |stored| {
        summary
            .tensors
            .iter()
            .find(|it| it.0 == stored)
            .map(|it| it.1)
    };
    assert_eq!(count(BlockType::F32), Some(3), "the norms");
    assert_eq!(count(BlockType::Q5_0), Some(6));
    assert_eq!(count(BlockType::Q8_0), Some(2), "the tables");
}

#[test]
fn what_was_trained_in_blocks_loses_nothing() {
    for (trained, blocks) in [
        (WeightBlocks::Int4, BlockType::Q4_0),
        (WeightBlocks::Int8, BlockType::Q8_0),
    ] {
        let model = wide().rounded_when_read(trained, &Matrices::All).unwrap();
        let mut options = GgufOptions::new(blocks);
        options.table_blocks = BlockType::F32;
        let (read, _) = written(&model, &options);
        let (before, after) = (ModelSource::new(&model), ModelSource::new(&read));
        for name in before.names() {
            assert_eq!(
                before.read(&name).unwrap(),
                after.read(&name).unwrap(),
                "{name}"
            );
        }
    }
}

#[test]
fn tokenizer_and_template_come_back_as_they_were() {
    for architecture in ["llama", "qwen2"] {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1.gguf"), folder.path().join("2.gguf"));
        let writer = small(architecture)
            .set("tokenizer.ggml.add_bos_token", MetadataValue::Bool(true))
            .text("tokenizer.chat_template", "{{ messages }}")
            .size("tokenizer.ggml.unknown_token_id", 0);
        let writer = match architecture {
            "qwen2" => writer
                .text("tokenizer.ggml.pre", "qwen2")
                .tensor("blk.0.attn_q.bias", &[8], &[0.5; 8])
                .tensor("blk.0.attn_k.bias", &[4], &[0.5; 4])
                .tensor("blk.0.attn_v.bias", &[4], &[0.5; 4]),
            _ => writer,
        };
        std::fs::write(&first, writer.bytes()).unwrap();
        let checkpoint = Checkpoint::open(&first).unwrap();
        let companions = checkpoint.companions().unwrap();
        let options = GgufOptions::new(BlockType::F32)
            .with_metadata("general.name", MetadataValue::String("Small".into()))
            .with_metadata(
                "general.architecture",
                MetadataValue::String("mamba".into()),
            );
        save_gguf(&loaded(&first), &second, &companions, &options).unwrap();

        let again = Checkpoint::open(&second).unwrap();
        assert_eq!(again.companions().unwrap(), companions);
        assert_eq!(again.config(), checkpoint.config());
        let file = GgufFile::open(&second).unwrap();
        let text = |key: &str| file.metadata(key).unwrap().as_str();
        assert_eq!(text("general.name"), Some("Small"));
        assert_eq!(text("general.architecture"), Some(architecture));
        let original = GgufFile::open(&first).unwrap();
        for key in ["tokens", "merges", "pre"] {
            let key = format!("tokenizer.ggml.{key}");
            assert_eq!(file.metadata(&key), original.metadata(&key));
        }
    }
}

#[test]
fn a_file_without_a_tokenizer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut config = ModelConfig::new(Architecture::Llama, 40, 32, 1, 2);
    (config.bos_token_id, config.eos_token_ids) = (Some(1), vec![2]);
    let model = LanguageModel::init(&config, 1, &Device::default());
    let options = GgufOptions::new(BlockType::F32);
    save_gguf(&model, &path, &Companions::default(), &options).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.companions().unwrap(), Companions::default());
    assert_eq!(checkpoint.config().eos_token_ids, [2]);
}

#[test]
fn what_readers_would_compute_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let refused = |model: &LanguageModel, blocks: BlockType| {
        let options = GgufOptions::new(blocks);
        let error = save_gguf(model, &path, &Companions::default(), &options).unwrap_err();
        assert!(!path.exists());
        error.to_string()
    };
    let gpt2 = refused(&fixture("gpt2"), BlockType::F32);
    assert!(gpt2.contains("gpt2") && gpt2.contains("qwen3"), "{gpt2}");
    let q6_k = refused(&wide(), BlockType::Q6K);
    assert!(q6_k.contains("Q6_K") && q6_k.contains("Q4_K"), "{q6_k}");
    let mut config = ModelConfig::new(Architecture::Llama, 40, 32, 1, 2);
    config.activation = crate::Activation::Gelu;
    let gelu = refused(
        &LanguageModel::init(&config, 1, &Device::default()),
        BlockType::F32,
    );
    assert!(gelu.contains("Gelu") && gelu.contains("SiLU"), "{gelu}");
}
