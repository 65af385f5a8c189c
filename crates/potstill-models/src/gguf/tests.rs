//! Files that are right, and many that are not.

mod fixtures;
pub(super) mod writer;

use proptest::prelude::*;

use super::*;
use crate::{Architecture, RopeScaling};
use writer::Writer;

/// A model of one block, width 8, two heads, one key head, with a tokenizer of six tokens.
pub(super) fn small(architecture: &str) -> Writer {
    let key = |key: &str| format!("{architecture}.{key}");
    let weight = |rows: usize, columns: usize| -> Vec<f32> {
        (0..rows * columns).map(|i| i as f32 / 8.0).collect()
    };
    let mut writer = Writer::new(architecture)
        .size(&key("block_count"), 1)
        .size(&key("context_length"), 64)
        .size(&key("embedding_length"), 8)
        .size(&key("feed_forward_length"), 12)
        .size(&key("attention.head_count"), 2)
        .size(&key("attention.head_count_kv"), 1)
        .number(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .number(&key("rope.freq_base"), 10_000.0)
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "smollm")
        .texts(
            "tokenizer.ggml.tokens",
            ["<s>", "</s>", "a", "b", "ab", "<think>"],
        )
        .sizes("tokenizer.ggml.token_type", [3, 3, 1, 1, 1, 4])
        .texts("tokenizer.ggml.merges", ["a b"])
        .size("tokenizer.ggml.bos_token_id", 0)
        .size("tokenizer.ggml.eos_token_id", 1);
    for (name, rows, columns) in [
        ("token_embd", 6, 8),
        ("blk.0.attn_q", 8, 8),
        ("blk.0.attn_k", 4, 8),
        ("blk.0.attn_v", 4, 8),
        ("blk.0.attn_output", 8, 8),
        ("blk.0.ffn_gate", 12, 8),
        ("blk.0.ffn_up", 12, 8),
        ("blk.0.ffn_down", 8, 12),
    ] {
        let values = weight(rows, columns);
        writer = writer.tensor(&format!("{name}.weight"), &[rows, columns], &values);
    }
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        writer = writer.tensor(&format!("{name}.weight"), &[8], &[1.0; 8]);
    }
    writer
}

#[test]
fn metadata_and_configuration_are_read() {
    let file = small("llama").open().unwrap();
    assert_eq!(
        file.metadata("llama.block_count"),
        Some(&MetadataValue::Unsigned(1))
    );
    let config = file.config().unwrap();
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!(
        (
            config.vocab_size,
            config.d_model,
            config.d_ff,
            config.n_layers
        ),
        (6, 8, 12, 1)
    );
    assert_eq!(
        (config.n_heads, config.n_kv_heads, config.head_dim),
        (2, 1, 4)
    );
    assert_eq!(config.max_positions, 64);
    assert_eq!(config.norm_epsilon, 1e-5);
    assert!(config.tie_word_embeddings && !config.qkv_bias);
    assert_eq!(
        (config.bos_token_id, config.eos_token_ids),
        (Some(0), vec![1])
    );
}

#[test]
fn tensors_are_named_as_hugging_face_does() {
    let file = small("llama")
        .tensor("rope_freqs.weight", &[2], &[1.0; 2])
        .open()
        .unwrap();
    let names = file.names();
    assert_eq!(
        names.len(),
        11,
        "the rotary factors are part of the configuration"
    );
    assert_eq!(
        file.shape("model.layers.0.mlp.down_proj.weight"),
        Some(vec![8, 12])
    );
    assert_eq!(file.shape("blk.0.ffn_down.weight"), None);
    let values = file.read("model.layers.0.mlp.down_proj.weight").unwrap();
    assert_eq!((values.len(), values[1]), (96, 0.125));
}

#[test]
fn queries_and_keys_are_only_reordered_for_llama() {
    let first_column = |architecture: &str, name: &str| -> Vec<f32> {
        let file = small(architecture).open().unwrap();
        file.read(&format!("model.layers.0.self_attn.{name}.weight"))
            .unwrap()
            .chunks(8)
            .map(|row| row[0])
            .collect()
    };
    assert_eq!(
        first_column("llama", "q_proj"),
        [0., 2., 1., 3., 4., 6., 5., 7.]
    );
    assert_eq!(first_column("llama", "k_proj"), [0., 2., 1., 3.]);
    assert_eq!(first_column("llama", "v_proj"), [0., 1., 2., 3.]);
    assert_eq!(
        first_column("qwen2", "q_proj"),
        [0., 1., 2., 3., 4., 5., 6., 7.]
    );
}

#[test]
fn options_of_the_configuration_are_found_in_the_tensors() {
    let file = small("llama")
        .size("llama.attention.key_length", 4)
        .tensor("output.weight", &[6, 8], &[0.0; 48])
        .tensor("blk.0.attn_q.bias", &[8], &[0.0; 8]);
    let both = file
        .clone()
        .tensor("blk.0.attn_output.bias", &[8], &[0.0; 8]);
    let config = both.open().unwrap().config().unwrap();
    assert!(!config.tie_word_embeddings && config.qkv_bias && config.output_bias);
    // No config.json could say this of a Llama.
    config_fails(file, &["model.gguf", "attention_bias", "llama"]);
    let windowed = small("llama").size("llama.attention.sliding_window", 16);
    let config = windowed.open().unwrap().config().unwrap();
    assert_eq!(config.architecture, Architecture::Mistral);
}

#[test]
fn rotary_scaling_comes_from_metadata_or_factors() {
    let scaling = |writer: Writer| {
        writer
            .open()
            .unwrap()
            .config()
            .unwrap()
            .rope
            .unwrap()
            .scaling
    };
    assert_eq!(scaling(small("llama")), None);
    let linear = small("llama")
        .text("llama.rope.scaling.type", "linear")
        .number("llama.rope.scaling.factor", 4.0);
    assert_eq!(scaling(linear), Some(RopeScaling::Linear { factor: 4.0 }));
    let factors = small("llama").tensor("rope_freqs.weight", &[2], &[1.0, 8.0]);
    assert!(matches!(
        scaling(factors),
        Some(RopeScaling::Llama3 { factor: 8.0, .. })
    ));
    let yarn = small("llama")
        .text("llama.rope.scaling.type", "yarn")
        .open()
        .unwrap();
    let error = yarn.config().unwrap_err().to_string();
    assert!(
        error.contains("yarn") && error.contains("linear"),
        "{error}"
    );
}

#[track_caller]
fn config_fails(writer: Writer, expected: &[&str]) {
    let error = writer.open().unwrap().config().unwrap_err();
    let source = std::error::Error::source(&error);
    let error = format!(
        "{error}: {}",
        source.map_or_else(String::new, ToString::to_string)
    );
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused() {
    config_fails(small("mamba"), &["mamba", "llama", "qwen3"]);
    config_fails(
        small("llama").without("llama.block_count"),
        &["llama.block_count", "missing"],
    );
    config_fails(
        small("llama").text("llama.block_count", "two"),
        &["llama.block_count", "two"],
    );
    config_fails(
        small("llama").size("llama.expert_count", 8),
        &["expert_count", "8"],
    );
    config_fails(
        small("llama").size("llama.rope.dimension_count", 2),
        &["dimension_count", "2", "4"],
    );
    config_fails(
        small("llama").sizes("llama.attention.head_count", [2, 4]),
        &["head_count"],
    );
    config_fails(
        small("llama").size("llama.attention.head_count", 0),
        &["num_attention_heads"],
    );
    let mut nameless = small("llama");
    nameless.tensors.remove(0);
    config_fails(nameless, &["token_embd.weight"]);
}

#[track_caller]
fn open_fails(change: impl FnOnce(&mut Writer), expected: &[&str]) {
    let mut writer = small("llama");
    change(&mut writer);
    let error = writer.problem();
    assert!(error.contains("model.gguf"), "{error}");
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn a_tensor_that_cannot_be_where_it_claims_is_refused() {
    open_fails(
        |w| w.tensors[1].offset = Some(1 << 40),
        &["blk.0.attn_q.weight", "1099511627776"],
    );
    open_fails(
        |w| w.tensors[1].offset = Some(u64::MAX - 31),
        &["blk.0.attn_q.weight"],
    );
    open_fails(
        |w| w.tensors[1].offset = Some(33),
        &["blk.0.attn_q.weight", "33", "32"],
    );
    open_fails(
        |w| w.tensors[1].offset = Some(32),
        &["token_embd.weight", "before", "192"],
    );
    open_fails(
        |w| w.tensors[1].shape = vec![1 << 40, 1 << 40],
        &["blk.0.attn_q.weight"],
    );
    open_fails(
        |w| w.tensors[1].shape = vec![0, 8],
        &["blk.0.attn_q.weight", "empty"],
    );
    open_fails(|w| w.tensors[1].shape = vec![2; 5], &["at most 4"]);
    open_fails(
        |w| w.tensors[1].type_number = 16,
        &["blk.0.attn_q.weight", "IQ2_XXS", "Q4_K"],
    );
    open_fails(|w| w.tensors[1].type_number = 1000, &["number 1000"]);
    open_fails(|w| w.tensors[1].type_number = 12, &["whole blocks"]);
    open_fails(
        |w| w.tensors[1].name = "token_embd.weight".to_owned(),
        &["token_embd.weight", "twice"],
    );
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    open_fails(|w| w.version = 1, &["version 1", "2 and 3"]);
    open_fails(
        |w| *w = w.clone().size("general.alignment", 24),
        &["24", "power of two"],
    );
    open_fails(
        |w| w.metadata.push(w.metadata[0].clone()),
        &["general.architecture", "twice"],
    );
    let error = writer::open(b"PK\x03\x04").unwrap_err().to_string();
    assert!(error.contains("GGUF"), "{error}");
    assert!(
        writer::open(b"")
            .unwrap_err()
            .to_string()
            .contains("4 bytes")
    );
}

#[test]
fn counts_beyond_the_file_are_refused_before_memory_is_taken() {
    for (at, what) in [
        (8, "list of tensors"),
        (16, "metadata"),
        (24, "metadata key"),
    ] {
        let mut bytes = small("llama").bytes();
        bytes[at..at + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        let error = writer::open(&bytes).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("left"), "{error}");
    }
}

#[test]
fn a_header_that_fits_into_a_large_file_but_not_into_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let key = b"tokenizer.ggml.scores";
    let mut bytes = Writer::new("llama")
        .sizes("tokenizer.ggml.scores", [])
        .bytes();
    let at = bytes
        .windows(key.len())
        .position(|part| part == key)
        .unwrap();
    // The type "array" and the type of its items come between.
    let count = at + key.len() + 8;
    bytes[count..count + 8].copy_from_slice(&(1u64 << 27).to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let error = GgufFile::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("tokenizer.ggml.scores") && error.contains("memory"),
        "{error}"
    );
}

#[test]
fn an_alignment_of_the_file_is_respected() {
    let mut writer = small("llama").size("general.alignment", 256);
    writer.alignment = 256;
    assert!(
        writer
            .open()
            .unwrap()
            .read("model.norm.weight")
            .unwrap()
            .iter()
            .all(|&x| x == 1.0)
    );
}

#[test]
fn bytes_in_memory_are_read_like_a_file() {
    let bytes = small("llama").bytes();
    let (file, memory) = (
        writer::open(&bytes).unwrap(),
        GgufFile::from_bytes("model", bytes.clone()).unwrap(),
    );
    assert_eq!(memory.config().unwrap(), file.config().unwrap());
    assert_eq!(
        memory.tokenizer_json().unwrap(),
        file.tokenizer_json().unwrap()
    );
    for name in file.names() {
        assert_eq!(memory.read(&name).unwrap(), file.read(&name).unwrap());
    }
    let error = GgufFile::from_bytes("model", bytes[..100].to_vec()).unwrap_err();
    assert!(error.to_string().contains("model"), "{error}");
}

#[test]
fn a_file_cut_short_after_opening_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, small("llama").bytes()).unwrap();
    let file = GgufFile::open(&path).unwrap();
    std::fs::write(&path, b"GGUF").unwrap();
    let error = file
        .read("model.embed_tokens.weight")
        .unwrap_err()
        .to_string();
    assert!(error.contains("model.gguf"), "{error}");
}

/// Whatever a file says, using it ends.
fn use_all_of(bytes: &[u8]) {
    let Ok(file) = writer::open(bytes) else {
        return;
    };
    let _ = file.config();
    let _ = file.tokenizer_json();
    let _ = file.tokenizer_config_json();
    let _ = file.chat_template();
    for name in file.names() {
        let _ = file.read(&name);
    }
}

proptest! {
    #[test]
    fn a_truncated_file_is_refused(share in 0.0..1.0f64) {
        let bytes = small("llama").bytes();
        let length = (bytes.len() as f64 * share) as usize;
        // The last tensor is followed by no padding that could be missing.
        prop_assert!(writer::open(&bytes[..length.min(bytes.len() - 1)]).is_err());
    }

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((0.0..1.0f64, 0..8u8), 1..4)) {
        let mut bytes = small("llama").bytes();
        for (share, bit) in flips {
            let at = (bytes.len() as f64 * share) as usize;
            bytes[at] ^= 1 << bit;
        }
        use_all_of(&bytes);
    }

    #[test]
    fn flipped_header_bits_never_panic(at in 0..1200usize, value: u8) {
        let mut bytes = small("llama").bytes();
        bytes[at] = value;
        use_all_of(&bytes);
    }
}
