//! Writing a Hugging Face folder.

use std::fs;
use std::io::Write;
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use serde_json::{Map, Value, json};

use crate::safetensors::{INDEX, SINGLE, TensorEntry, WeightDtype, write_safetensors};
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{BertEncoder, Error, LanguageModel, ModelConfig};

/// Files that belong beside the weights; those given are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companions {
    /// `tokenizer.json`.
    pub tokenizer_json: Option<String>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<String>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<String>,
    /// `chat_template.jinja`.
    pub chat_template: Option<String>,
    /// `generation_config.json`.
    pub generation_config: Option<String>,
    /// `README.md`.
    pub model_card: Option<String>,
}

/// How weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveOptions {
    /// Type of the weights on disk.
    pub dtype: WeightDtype,
    /// Most bytes of one file; a tensor that is larger gets a file of its own.
    pub max_shard_bytes: usize,
}

impl Default for SaveOptions {
    /// f32 in files of at most 5 GB.
    fn default() -> Self {
        Self {
            dtype: WeightDtype::F32,
            max_shard_bytes: usize::try_from(5_000_000_000_u64).unwrap_or(usize::MAX),
        }
    }
}

/// Saves a language model as a folder that `transformers` loads, with [`SaveOptions::default`].
///
/// # Errors
///
/// As [`save_pretrained_with`].
pub fn save_pretrained(
    model: &LanguageModel,
    folder: impl AsRef<Path>,
    companions: &Companions,
) -> Result<(), Error> {
    save_pretrained_with(model, folder, companions, &SaveOptions::default())
}

/// Saves a language model as a folder that `transformers` loads.
///
/// Adapters are merged into the weights that they adapt, quantized weights are written as what they
/// stand for, and the factors of a [`LowRankHead`](crate::LowRankHead) are multiplied: the folder holds
/// an ordinary model that gives the same logits.
///
/// Every file is written beside its target, synced and renamed. Weights that an earlier save left in
/// the folder under other names are removed, so that nobody loads them by mistake. The folder as a
/// whole is not replaced at once: whoever wants to fall back on an earlier save gives a new folder.
///
/// # Errors
///
/// When a file cannot be written.
pub fn save_pretrained_with(
    model: &LanguageModel,
    folder: impl AsRef<Path>,
    companions: &Companions,
    options: &SaveOptions,
) -> Result<(), Error> {
    let model = model.merged();
    save(
        &ModelSource::new(&model),
        model.config(),
        folder.as_ref(),
        companions,
        options,
    )
}

/// Saves an encoder as a folder that `transformers` loads.
///
/// # Errors
///
/// When a file cannot be written.
pub fn save_encoder(
    model: &BertEncoder,
    folder: impl AsRef<Path>,
    companions: &Companions,
    options: &SaveOptions,
) -> Result<(), Error> {
    let config = model.config();
    let source = ModelSource::of(model, config.architecture);
    save(&source, config, folder.as_ref(), companions, options)
}

fn save(
    source: &ModelSource,
    config: &ModelConfig,
    folder: &Path,
    companions: &Companions,
    options: &SaveOptions,
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let written = save_weights(source, folder, options)?;
    remove_stale_weights(folder, &written)?;
    write(
        &folder.join("config.json"),
        &config_json(config, options.dtype),
    )?;
    for (name, text) in [
        ("tokenizer.json", &companions.tokenizer_json),
        ("tokenizer_config.json", &companions.tokenizer_config),
        ("special_tokens_map.json", &companions.special_tokens_map),
        ("chat_template.jinja", &companions.chat_template),
        ("README.md", &companions.model_card),
    ] {
        if let Some(text) = text {
            write(&folder.join(name), text)?;
        }
    }
    let generation = companions
        .generation_config
        .clone()
        .or_else(|| generation_config(config));
    match generation {
        Some(text) => write(&folder.join("generation_config.json"), &text),
        None => Ok(()),
    }
}

/// Writes the weights and returns the names of the files.
fn save_weights(
    source: &ModelSource,
    folder: &Path,
    options: &SaveOptions,
) -> Result<Vec<String>, Error> {
    let mut shards: Vec<Vec<TensorEntry>> = vec![Vec::new()];
    let (mut total, mut filled) = (0, 0);
    for name in source.names() {
        let shape = source.shape(&name).unwrap_or_default();
        let bytes = shape.iter().product::<usize>() * options.dtype.size();
        if filled > 0 && filled + bytes > options.max_shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        total += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push(TensorEntry { name, shape, bytes });
        }
    }
    if let [only] = shards.as_slice() {
        write_safetensors(&folder.join(SINGLE), only, source, options.dtype)?;
        return Ok(vec![SINGLE.into()]);
    }
    let mut written = vec![INDEX.to_owned()];
    let mut weight_map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        write_safetensors(&folder.join(&file), shard, source, options.dtype)?;
        weight_map.extend(
            shard
                .iter()
                .map(|tensor| (tensor.name.clone(), json!(file))),
        );
        written.push(file);
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
    write(&folder.join(INDEX), &format!("{index:#}\n"))?;
    Ok(written)
}

/// Removes weights of an earlier save that a reader would prefer or confuse with the new ones.
fn remove_stale_weights(folder: &Path, written: &[String]) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let shard = name.starts_with("model-") && name.ends_with(".safetensors");
        let weights = shard || name == SINGLE || name == INDEX;
        if weights && !written.iter().any(|file| file == name) {
            fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// `config.json` with the type of the weights, which version 4 of `transformers` calls
/// `torch_dtype` and version 5 `dtype`.
fn config_json(config: &ModelConfig, dtype: WeightDtype) -> String {
    let mut config = config.clone();
    for key in ["dtype", "torch_dtype"] {
        config.extra.insert(key.into(), json!(dtype.config_name()));
    }
    config.to_hf_json()
}

/// The tokens that begin, end and pad a text, as generation needs them.
fn generation_config(config: &ModelConfig) -> Option<String> {
    let eos = match config.eos_token_ids.as_slice() {
        [] => None,
        [one] => Some(json!(one)),
        several => Some(json!(several)),
    };
    let mut keys = Map::new();
    for (key, value) in [
        ("bos_token_id", config.bos_token_id.map(Value::from)),
        ("eos_token_id", eos),
        ("pad_token_id", config.pad_token_id.map(Value::from)),
    ] {
        keys.extend(value.map(|value| (key.to_owned(), value)));
    }
    let wanted = config.architecture.is_causal() && !keys.is_empty();
    wanted.then(|| format!("{:#}\n", Value::Object(keys)))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = AtomicWriteFile::open(path).map_err(Error::io("write", path))?;
    file.write_all(text.as_bytes())
        .map_err(Error::io("write", path))?;
    file.commit().map_err(Error::io("write", path))
}
