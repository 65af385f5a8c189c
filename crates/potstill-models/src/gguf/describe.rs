//! The metadata that tells what a model is.

use potstill_kernels::Activation;

use super::header::Metadata;
use super::{BlockType, MetadataValue};
use crate::{Architecture, Error, ModelConfig, RopeScaling};

/// What a file calls the architecture.
pub(super) fn architecture(config: &ModelConfig) -> Result<&'static str, Error> {
    match config.architecture {
        Architecture::Llama | Architecture::Mistral => Ok("llama"),
        Architecture::Qwen2 => Ok("qwen2"),
        Architecture::Qwen3 => Ok("qwen3"),
        other => Err(Error::NotInGguf {
            what: format!("a {} model", other.name()),
            expected: "llama, mistral, qwen2 and qwen3 models are written",
        }),
    }
}

/// Architecture, sizes and options.
///
/// # Errors
///
/// When llama.cpp would compute something else.
pub(super) fn describe(config: &ModelConfig, blocks: BlockType) -> Result<Metadata, Error> {
    let architecture = architecture(config)?;
    let refuse = |what: String, expected| Err(Error::NotInGguf { what, expected });
    if config.activation != Activation::Silu {
        return refuse(
            format!("the activation {:?}", config.activation),
            "readers compute SiLU for these architectures",
        );
    }
    if architecture == "qwen3" && config.qkv_bias {
        return refuse(
            "attention biases of a qwen3 model".into(),
            "readers know none there",
        );
    }
    let mut metadata = Metadata::new();
    let mut put = |key: &str, value: MetadataValue| {
        metadata.insert(format!("{architecture}.{key}"), value);
    };
    for (key, size) in [
        ("block_count", config.n_layers),
        ("context_length", config.max_positions),
        ("embedding_length", config.d_model),
        ("feed_forward_length", config.d_ff),
        ("attention.head_count", config.n_heads),
        ("attention.head_count_kv", config.n_kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", config.head_dim),
        ("vocab_size", config.vocab_size),
    ] {
        put(key, MetadataValue::Unsigned(size as u64));
    }
    let epsilon = MetadataValue::Float(config.norm_epsilon);
    put("attention.layer_norm_rms_epsilon", epsilon);
    if let Some(window) = config.effective_window() {
        put(
            "attention.sliding_window",
            MetadataValue::Unsigned(window as u64),
        );
    }
    if let Some(rope) = &config.rope {
        put("rope.freq_base", MetadataValue::Float(rope.theta));
        match rope.scaling {
            Some(RopeScaling::Linear { factor }) => {
                put("rope.scaling.type", MetadataValue::String("linear".into()));
                put("rope.scaling.factor", MetadataValue::Float(factor));
            }
            Some(RopeScaling::Llama3 { .. }) if architecture != "llama" => {
                return refuse(
                    format!("Llama 3's rotary frequencies in a {architecture} model"),
                    "readers take them for llama models",
                );
            }
            // Those are a tensor.
            Some(RopeScaling::Llama3 { .. }) | None => {}
        }
    }
    metadata.insert("general.architecture".into(), text(architecture));
    metadata.insert("general.type".into(), text("model"));
    metadata.insert("general.file_type".into(), file_type(blocks));
    if blocks.values_per_block() > 1 {
        let version = MetadataValue::Unsigned(2);
        metadata.insert("general.quantization_version".into(), version);
    }
    Ok(metadata)
}

/// What most of the tensors are, by llama.cpp's numbers; nothing is computed from it.
fn file_type(blocks: BlockType) -> MetadataValue {
    MetadataValue::Unsigned(match blocks {
        BlockType::F16 => 1,
        BlockType::Q4_0 => 2,
        BlockType::Q8_0 => 7,
        BlockType::Q5_0 => 8,
        BlockType::Q4K => 14,
        BlockType::Bf16 => 32,
        _ => 0,
    })
}

pub(super) fn text(text: &str) -> MetadataValue {
    MetadataValue::String(text.to_owned())
}
