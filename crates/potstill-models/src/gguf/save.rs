//! Writing a GGUF file.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;

use super::header::{self, ALIGNMENT, Entry};
use super::{BlockType, MetadataValue, describe, names, quantize, rope, tokenizer};
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Companions, Error, LanguageModel, ModelConfig, RopeScaling};

/// What a GGUF file is to hold beside the weights, and in which blocks those are.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufOptions {
    /// Blocks of the matrices. Norms and biases are always `F32`.
    pub blocks: BlockType,
    /// Blocks of the embeddings and of the head.
    pub table_blocks: BlockType,
    /// More metadata, such as `general.name` and `general.license`. Keys that the model or its
    /// tokenizer determines keep the values from there.
    pub metadata: BTreeMap<String, MetadataValue>,
}

impl GgufOptions {
    /// Matrices of these blocks, and tables of the same; beside matrices of 4 bits they are `Q8_0`,
    /// since the head needs more bits than the rest.
    #[must_use]
    pub fn new(blocks: BlockType) -> Self {
        let table_blocks = match blocks {
            BlockType::Q4_0 | BlockType::Q4K => BlockType::Q8_0,
            other => other,
        };
        Self {
            blocks,
            table_blocks,
            metadata: BTreeMap::new(),
        }
    }

    /// The same with one more metadata value.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: MetadataValue) -> Self {
        self.metadata.insert(key.into(), value);
        self
    }
}

/// What [`save_gguf`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufSummary {
    /// Size of the file.
    pub bytes: u64,
    /// How many tensors there are of each block type, most bytes first.
    pub tensors: Vec<(BlockType, usize)>,
    /// Matrices whose rows are no whole number of the blocks that were asked for, and which are stored
    /// in wider ones instead.
    pub widened: Vec<WidenedTensor>,
}

/// A matrix in wider blocks than asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidenedTensor {
    /// As GGUF names it.
    pub name: String,
    /// Values of a row.
    pub row: usize,
    /// What was asked for.
    pub asked: BlockType,
    /// What it is stored as.
    pub stored: BlockType,
}

/// Saves a language model as a GGUF file that llama.cpp loads, with the tokenizer and the chat template of
/// `companions`.
///
/// [`Checkpoint::companions`](crate::Checkpoint::companions) are those of the model that it was derived
/// from, be it a folder or another GGUF file. Without a `tokenizer_json`, the file says that it has no
/// vocabulary; programs then feed token ids.
///
/// Adapters are merged and quantized weights written as what they stand for, as by
/// [`save_pretrained`](crate::save_pretrained). A model that was
/// [rounded when read](LanguageModel::rounded_when_read) loses nothing more in the matching blocks.
/// Rows that `Q4_K` does not divide become `Q5_0`, those that 32 does not divide `F16`; the summary names
/// them.
///
/// llama.cpp attends to all positions where a Mistral or Qwen model has a sliding window; up to its
/// length that is the same.
///
/// The file is written beside its target, synced and renamed.
///
/// # Errors
///
/// When the model or its tokenizer is of a kind that such a file cannot hold, blocks are asked for that
/// cannot be [written](quantize()), or the file cannot be written.
///
/// # Examples
///
/// ```
/// use burn::prelude::*;
/// use burn::tensor::FloatDType;
/// use potstill_models::{
///     Architecture, BlockType, Checkpoint, Companions, GgufOptions, LanguageModel, MetadataValue,
///     ModelConfig, save_gguf,
/// };
///
/// let config = ModelConfig::new(Architecture::Llama, 64, 32, 2, 2);
/// let model = LanguageModel::init(&config, 7, &Device::default());
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("tiny.gguf");
/// let options = GgufOptions::new(BlockType::Q8_0)
///     .with_metadata("general.license", MetadataValue::String("apache-2.0".into()));
/// let summary = save_gguf(&model, &path, &Companions::default(), &options)?;
/// assert!(summary.widened.is_empty());
///
/// let read = Checkpoint::open(&path)?.language_model(FloatDType::F32, &Device::default())?;
/// assert_eq!(read.config().n_layers, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save_gguf(
    model: &LanguageModel,
    path: impl AsRef<Path>,
    companions: &Companions,
    options: &GgufOptions,
) -> Result<GgufSummary, Error> {
    let path = path.as_ref();
    let model = model.merged();
    let config = model.config();
    let mut metadata = options.metadata.clone();
    metadata.extend(describe::describe(config, options.blocks)?);
    metadata.extend(tokenizer::metadata(companions, config)?);
    let source = ModelSource::new(&model);
    let tensors = plan(&source, config, options)?;

    let mut offset = 0;
    let mut entries = Vec::with_capacity(tensors.len());
    for tensor in &tensors {
        entries.push(Entry {
            name: &tensor.name,
            shape: &tensor.shape,
            type_number: tensor.stored.number(),
            offset,
        });
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    let header = header::encode(&metadata, &entries)?;
    let bytes = header.len() as u64 + offset;

    let mut file = AtomicWriteFile::open(path).map_err(Error::io("write", path))?;
    let mut out = BufWriter::new(&mut file);
    let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(Error::io("write", path));
    put(&header)?;
    for tensor in &tensors {
        let mut blocks = quantize(tensor.stored, &tensor.values(&source)?)?;
        blocks.resize(blocks.len().next_multiple_of(ALIGNMENT as usize), 0);
        put(&blocks)?;
    }
    out.flush().map_err(Error::io("write", path))?;
    drop(out);
    file.commit().map_err(Error::io("write", path))?;
    Ok(summary(&tensors, bytes))
}

/// A tensor to write.
struct Planned {
    /// As GGUF names it.
    name: String,
    /// Row-major.
    shape: Vec<usize>,
    asked: BlockType,
    stored: BlockType,
    values: Values,
}

enum Values {
    /// Those of the model's tensor of this name, with the rows of so many heads reordered.
    OfModel(String, Option<usize>),
    Given(Vec<f32>),
}

impl Planned {
    fn bytes(&self) -> u64 {
        let blocks = self.shape.iter().product::<usize>() / self.stored.values_per_block();
        (blocks * self.stored.bytes_per_block()) as u64
    }

    fn values(&self, source: &ModelSource) -> Result<Vec<f32>, Error> {
        let (name, heads) = match &self.values {
            Values::Given(values) => return Ok(values.clone()),
            Values::OfModel(name, heads) => (name, heads),
        };
        let values = source.read(name)?;
        let Some(heads) = *heads else {
            return Ok(values);
        };
        names::neighboring_rows(&values, self.shape[0], heads).ok_or_else(|| Error::NotInGguf {
            what: format!("{name} of {} rows for {heads} heads", self.shape[0]),
            expected: "a head needs an even number of rows",
        })
    }
}

fn plan(
    source: &ModelSource,
    config: &ModelConfig,
    options: &GgufOptions,
) -> Result<Vec<Planned>, Error> {
    let interleaved = describe::architecture(config)? == "llama";
    let mut tensors = Vec::new();
    if let Some(rope) = &config.rope
        && matches!(rope.scaling, Some(RopeScaling::Llama3 { .. }))
    {
        let factors = rope::factors(rope, config.head_dim);
        tensors.push(Planned {
            name: rope::FACTORS.into(),
            shape: vec![factors.len()],
            asked: BlockType::F32,
            stored: BlockType::F32,
            values: Values::Given(factors),
        });
    }
    for name in source.names() {
        let shape = source.shape(&name).unwrap_or_default();
        let gguf_name = names::gguf(&name).ok_or_else(|| Error::NotInGguf {
            what: format!("the tensor {name}"),
            expected: "tensors of the Llama and Qwen families have a name there",
        })?;
        let heads = if !interleaved {
            None
        } else if name.contains(".q_proj.") {
            Some(config.n_heads)
        } else if name.contains(".k_proj.") {
            Some(config.n_kv_heads)
        } else {
            None
        };
        let asked = match (shape.len(), gguf_name.as_str()) {
            (0 | 1, _) => BlockType::F32,
            (_, "token_embd.weight" | "output.weight") => options.table_blocks,
            _ => options.blocks,
        };
        let row = shape.last().copied().unwrap_or(1);
        tensors.push(Planned {
            name: gguf_name,
            asked,
            stored: that_fits(asked, row),
            shape,
            values: Values::OfModel(name, heads),
        });
    }
    Ok(tensors)
}

/// The blocks themselves where rows are whole numbers of them, else the next wider ones.
fn that_fits(asked: BlockType, row: usize) -> BlockType {
    if row.is_multiple_of(asked.values_per_block()) {
        return asked;
    }
    match asked {
        BlockType::Q4K => that_fits(BlockType::Q5_0, row),
        _ => BlockType::F16,
    }
}

fn summary(tensors: &[Planned], bytes: u64) -> GgufSummary {
    let mut counts: Vec<(BlockType, usize, u64)> = Vec::new();
    for tensor in tensors {
        match counts.iter_mut().find(|count| count.0 == tensor.stored) {
            Some(count) => {
                count.1 += 1;
                count.2 += tensor.bytes();
            }
            None => counts.push((tensor.stored, 1, tensor.bytes())),
        }
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.2));
    let widened = tensors
        .iter()
        .filter(|tensor| tensor.asked != tensor.stored);
    GgufSummary {
        bytes,
        tensors: counts
            .into_iter()
            .map(|(block_type, count, _)| (block_type, count))
            .collect(),
        widened: widened
            .map(|tensor| WidenedTensor {
                name: tensor.name.clone(),
                row: tensor.shape.last().copied().unwrap_or(1),
                asked: tensor.asked,
                stored: tensor.stored,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
