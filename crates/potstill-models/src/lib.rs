//! Architectures, deriving a student, generation, and weights in and out.
//!
//! - [`ModelConfig`] says what a model is and reads and writes `config.json`.
//! - [`LanguageModel`] is every causal architecture behind one type: the Llama family ([`Llama`],
//!   which also serves Mistral, SmolLM2, Qwen2 and Qwen3) and [`Gpt2`]. [`BertEncoder`] is BERT.
//!   All are wired from one set of blocks.
//! - [`Checkpoint`] opens a Hugging Face folder or a GGUF file, [`save_pretrained`] writes a folder
//!   that `transformers` loads, [`save_gguf`] a file that llama.cpp runs.
//! - [`derive_student`] makes a student from its teacher and says which layers correspond:
//!   [`Importance`] and [`DepthSearch`] say which parts matter, [`students_that_fit`] how large it
//!   may be, [`LanguageModel::restricted_to`] cuts the vocabulary, and [`LowRankHead`] the head.
//! - [`LanguageModel::with_adapters`] trains a small addition only, [`LanguageModel::rounded_when_read`]
//!   in the precision that the student is used in.
//! - A [`LanguageModel`] continues prompts through [`Generate`](potstill_core::Generate); [`KvCache`]
//!   lets it read each token once, a [`Sampler`] chooses the next one, and a [`Continuation`] writes
//!   one text token by token. With [`write_together`] a
//!   teacher has a say in what its student writes.
//!
//! Norms, softmax and rotations are computed in f32 whatever the dtype of the weights; a student is
//! f32 unless asked otherwise. Decoding keeps all activations in f32, so that a model loaded in half
//! precision is rounded once, in its weights, of which flex then reads half the bytes.
//!
//! ```
//! use burn::prelude::*;
//! use burn::tensor::FloatDType;
//! use potstill_core::CausalLm;
//! use potstill_models::{
//!     Architecture, Checkpoint, Companions, LanguageModel, ModelConfig, save_pretrained,
//! };
//!
//! let device = Device::default();
//! let config = ModelConfig::new(Architecture::Llama, 64, 16, 2, 2);
//! let model = LanguageModel::init(&config, 7, &device);
//!
//! let folder = tempfile::tempdir()?;
//! save_pretrained(&model, folder.path(), &Companions::default())?;
//! let checkpoint = Checkpoint::open(folder.path())?;
//! let reloaded = checkpoint.language_model(FloatDType::F32, &device)?;
//! assert_eq!(reloaded.vocab_size(), 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapters;
mod bert;
mod blocks;
mod cache;
mod checkpoint;
mod config;
mod derive;
mod error;
mod generate;
mod gguf;
mod gpt2;
mod language_model;
mod llama;
mod matrices;
mod probe;
mod quantization;
mod safetensors;
mod sample;
mod save;
mod size;
mod source;
mod taps;
mod weights;

pub use adapters::{AdapterBase, AdapterConfig};
pub use bert::BertEncoder;
pub use cache::KvCache;
pub use checkpoint::Checkpoint;
pub use config::{Architecture, ModelConfig, Rope, RopeScaling};
pub use derive::{
    DepthSearch, DerivedStudent, Importance, KeptParts, LayerChoice, LayerMap, LowRankHead,
    Removal, Removed, StudentShape, StudentSpec, derive_student,
};
pub use error::Error;
pub use generate::{Continuation, Guidance, write_together};
pub use gguf::{
    BlockType, GgufFile, GgufOptions, GgufProblem, GgufSummary, MetadataValue, WidenedTensor,
    dequantize, quantize, save_gguf,
};
pub use gpt2::Gpt2;
pub use language_model::LanguageModel;
pub use llama::Llama;
pub use matrices::Matrices;
pub use potstill_kernels::Activation;
pub use quantization::WeightBlocks;
pub use safetensors::WeightDtype;
pub use sample::{Choice, Sampler};
pub use save::{Companions, SaveOptions, save_encoder, save_pretrained, save_pretrained_with};
pub use size::{
    Budget, DecodeRate, FittingStudent, MeasuredDecoding, SizeOptions, StoredAs, TimeLimit,
    students_that_fit,
};
