//! A checkpoint on disk: a Hugging Face folder or a GGUF file.

use std::fs;
use std::path::{Path, PathBuf};

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::SpecialTokens;

mod folder;

use crate::gguf::GgufFile;
use crate::safetensors::SafetensorsFolder;
use crate::source::TensorSource;
use crate::{
    BertEncoder, Companions, Error, LanguageModel, Matrices, ModelConfig, WeightBlocks, weights,
};

/// A checkpoint whose configuration has been read and whose weights have not.
///
/// ```no_run
/// use burn::prelude::*;
/// use burn::tensor::FloatDType;
/// use potstill_models::Checkpoint;
///
/// let checkpoint = Checkpoint::open("SmolLM2-135M-Instruct")?;
/// let teacher = checkpoint.language_model(FloatDType::F32, &Device::default())?;
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    config: ModelConfig,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder,
    Gguf(Box<GgufFile>),
}

impl Checkpoint {
    /// Opens a folder with `config.json`, or a `.gguf` file.
    ///
    /// # Errors
    ///
    /// When `path` is neither, cannot be read, or its configuration is not
    /// [supported](ModelConfig::from_hf_json).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
        {
            return Self::from_gguf(GgufFile::open(path)?);
        }
        let config_path = path.join("config.json");
        if !config_path.is_file() {
            return Err(Error::NotACheckpoint {
                path: path.to_path_buf(),
                expected: "it is neither a .gguf file nor a folder with config.json",
            });
        }
        let text = fs::read_to_string(&config_path).map_err(Error::io("read", &config_path))?;
        let config = ModelConfig::from_hf_json(&text).map_err(|source| Error::Config {
            path: config_path,
            source: Box::new(source),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            config,
            kind: Kind::Folder,
        })
    }

    /// A GGUF file that was opened already, or came as bytes.
    ///
    /// # Errors
    ///
    /// When its configuration is not [supported](GgufFile::config).
    pub fn from_gguf(file: GgufFile) -> Result<Self, Error> {
        Ok(Self {
            path: file.origin().to_path_buf(),
            config: file.config()?,
            kind: Kind::Gguf(Box::new(file)),
        })
    }

    /// The folder or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the model is.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Loads the weights of a causal language model, one tensor at a time.
    ///
    /// # Errors
    ///
    /// When the checkpoint is an encoder, is damaged, or lacks a tensor of the right shape, or when the
    /// device does not compute in `dtype`.
    pub fn language_model(
        &self,
        dtype: FloatDType,
        device: &Device,
    ) -> Result<LanguageModel, Error> {
        self.load(dtype, None, device)
    }

    /// Loads the weights of a causal language model for use: matrices as integers, as
    /// [`LanguageModel::quantized`] makes them, and everything else in `dtype`. One tensor at a time is
    /// in f32.
    ///
    /// # Errors
    ///
    /// As [`language_model`](Self::language_model), and when a matrix that is named does not exist, the
    /// inputs of one are no multiple of 32, or the device holds no such integers.
    pub fn quantized_language_model(
        &self,
        blocks: WeightBlocks,
        matrices: &Matrices,
        dtype: FloatDType,
        device: &Device,
    ) -> Result<LanguageModel, Error> {
        self.load(dtype, Some((blocks, matrices)), device)
    }

    fn load(
        &self,
        dtype: FloatDType,
        quantized: Option<(WeightBlocks, &Matrices)>,
        device: &Device,
    ) -> Result<LanguageModel, Error> {
        match &self.kind {
            Kind::Folder => {
                let source = SafetensorsFolder::open(&self.path)?;
                weights::load_language_model(&self.config, &source, dtype, quantized, device)
            }
            Kind::Gguf(file) => {
                let source = file.as_ref();
                weights::load_language_model(&self.config, source, dtype, quantized, device)
            }
        }
    }

    /// Loads the weights of a BERT encoder, one tensor at a time.
    ///
    /// # Errors
    ///
    /// When the checkpoint is a causal language model, is damaged, or lacks a tensor of the right
    /// shape.
    pub fn bert_encoder(&self, dtype: FloatDType, device: &Device) -> Result<BertEncoder, Error> {
        match &self.kind {
            Kind::Folder => {
                let source = SafetensorsFolder::open(&self.path)?;
                weights::load_bert_encoder(&self.config, &source, dtype, device)
            }
            Kind::Gguf(file) => Err(Error::WrongKind {
                path: file.origin().to_path_buf(),
                found: self.config.architecture.name(),
                expected: "a BERT encoder",
            }),
        }
    }

    /// The tokenizer as the text of a `tokenizer.json`, if the checkpoint has one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is of a kind that cannot be expressed so.
    pub fn tokenizer_json(&self) -> Result<Option<String>, Error> {
        match &self.kind {
            Kind::Folder => folder::read(&self.path, "tokenizer.json"),
            Kind::Gguf(file) => file.tokenizer_json(),
        }
    }

    /// The text of `tokenizer_config.json`, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn tokenizer_config_json(&self) -> Result<Option<String>, Error> {
        match &self.kind {
            Kind::Folder => folder::read(&self.path, folder::TOKENIZER_CONFIG),
            Kind::Gguf(file) => file.tokenizer_config_json(),
        }
    }

    /// The text of `generation_config.json`, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn generation_config_json(&self) -> Result<Option<String>, Error> {
        match &self.kind {
            Kind::Folder => folder::read(&self.path, "generation_config.json"),
            Kind::Gguf(_) => Ok(None),
        }
    }

    /// The chat template, from `chat_template.jinja`, `chat_template.json` or
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not JSON.
    pub fn chat_template(&self) -> Result<Option<String>, Error> {
        match &self.kind {
            Kind::Folder => folder::chat_template(&self.path),
            Kind::Gguf(file) => file.chat_template(),
        }
    }

    /// The tokens with a role, from `tokenizer_config.json` or `special_tokens_map.json`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not what it should be.
    pub fn special_tokens(&self) -> Result<SpecialTokens, Error> {
        match &self.kind {
            Kind::Folder => folder::special_tokens(&self.path),
            Kind::Gguf(file) => file.special_tokens(),
        }
    }

    /// The text of `special_tokens_map.json`, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn special_tokens_map_json(&self) -> Result<Option<String>, Error> {
        match &self.kind {
            Kind::Folder => folder::read(&self.path, folder::SPECIAL_TOKENS_MAP),
            Kind::Gguf(_) => Ok(None),
        }
    }

    /// Everything but weights and model card, to be saved beside a student.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn companions(&self) -> Result<Companions, Error> {
        Ok(Companions {
            tokenizer_json: self.tokenizer_json()?,
            tokenizer_config: self.tokenizer_config_json()?,
            special_tokens_map: self.special_tokens_map_json()?,
            chat_template: self.chat_template()?,
            generation_config: self.generation_config_json()?,
            model_card: None,
        })
    }
}

#[cfg(test)]
mod tests;
