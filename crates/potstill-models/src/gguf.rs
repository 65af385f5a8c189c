//! GGUF, the format of llama.cpp: one file with metadata, tokenizer and quantized weights.
//!
//! ```text
//! "GGUF" · version · tensor count · metadata count
//! metadata: key · type · value                          config.rs, describe.rs, tokenizer.rs
//! tensors:  name · dimensions · block type · offset     tensor_info.rs, header.rs
//! padding to the alignment
//! blocks                                                block_type.rs, dequantize.rs, quantize.rs
//! ```
//!
//! Nothing in the file is believed: every count, length and offset is compared with the size of the
//! file before anything is allocated. Weights stay in the file and are decoded one tensor at a time.
//!
//! The format is described at <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod block_type;
mod config;
mod contents;
mod dequantize;
mod describe;
mod header;
mod names;
mod problem;
mod quantize;
mod reader;
mod rope;
mod save;
mod tensor_info;
mod tokenizer;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use block_type::BlockType;
use contents::Contents;
pub use dequantize::dequantize;
pub use problem::GgufProblem;
pub use quantize::quantize;
use reader::HeaderReader;
pub use save::{GgufOptions, GgufSummary, WidenedTensor, save_gguf};
use tensor_info::TensorInfo;
pub use value::MetadataValue;

use crate::{Error, source::TensorSource};

/// A GGUF file: its metadata in memory, its tensors decoded on demand.
///
/// # Examples
///
/// ```no_run
/// use potstill_models::GgufFile;
///
/// let file = GgufFile::open("SmolLM2-135M-Instruct.Q4_1.gguf")?;
/// println!("{:?}", file.metadata("general.name"));
/// println!("{:?}", file.config()?);
/// # Ok::<(), potstill_models::Error>(())
/// ```
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    contents: Mutex<Contents>,
    metadata: HashMap<String, MetadataValue>,
    /// Under Hugging Face names where there is one.
    tensors: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

impl GgufFile {
    /// Reads the header and checks every tensor's place.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no GGUF file of version 2 or 3, is truncated or damaged, or
    /// holds a tensor of a type that cannot be decoded.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        Self::parse(path, Contents::File(file), length)
    }

    /// [`open`](Self::open) for the bytes of a file, where there are no files. `name` stands for the
    /// path in messages.
    ///
    /// # Errors
    ///
    /// As of `open`.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self, Error> {
        let length = bytes.len() as u64;
        Self::parse(name.into(), Contents::Memory(Cursor::new(bytes)), length)
    }

    fn parse(path: PathBuf, mut contents: Contents, length: u64) -> Result<Self, Error> {
        let mut reader = HeaderReader::new(&mut contents, path.clone(), length);

        let magic = reader.array("the magic number")?;
        if &magic != b"GGUF" {
            return Err(reader.error(GgufProblem::Magic { found: magic }));
        }
        let version = reader.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(reader.error(GgufProblem::Version { found: version }));
        }
        let n_tensors = reader.u64("the number of tensors")?;
        let n_metadata = reader.u64("the number of metadata entries")?;

        let metadata = read_metadata(&mut reader, n_metadata)?;
        let alignment = alignment(&metadata).map_err(|problem| reader.error(problem))?;
        let infos = tensor_info::read_all(&mut reader, n_tensors)?;
        let data_start = reader.position().next_multiple_of(alignment);
        tensor_info::check_places(&infos, alignment, length.saturating_sub(data_start))
            .map_err(|problem| reader.error(problem))?;

        let mut tensors = BTreeMap::new();
        for info in infos {
            let name = names::hugging_face(&info.name).unwrap_or_else(|| info.name.clone());
            if let Some(previous) = tensors.insert(name, info) {
                return Err(reader.error(GgufProblem::Duplicate {
                    name: previous.name,
                }));
            }
        }
        Ok(Self {
            path,
            contents: Mutex::new(contents),
            metadata,
            tensors,
            data_start,
        })
    }

    /// A metadata value, such as that of `"general.architecture"`.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&MetadataValue> {
        self.metadata.get(key)
    }

    /// The values of a tensor as they are in the file, row-major.
    fn read_stored(&self, info: &TensorInfo) -> Result<Vec<f32>, Error> {
        let mut bytes = vec![0; info.bytes];
        {
            let lock = self.contents.lock();
            let mut contents = lock.unwrap_or_else(PoisonError::into_inner);
            contents
                .seek(SeekFrom::Start(self.data_start + info.offset))
                .and_then(|_| contents.read_exact(&mut bytes))
                .map_err(Error::io("read", &self.path))?;
        }
        dequantize(info.block_type, &bytes)
    }

    fn error(&self, problem: GgufProblem) -> Error {
        Error::Gguf {
            path: self.path.clone(),
            problem: Box::new(problem),
        }
    }
}

impl TensorSource for GgufFile {
    fn names(&self) -> Vec<String> {
        // The rotary factors are part of the configuration.
        self.tensors
            .keys()
            .filter(|name| *name != rope::FACTORS)
            .cloned()
            .collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|info| info.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let missing = || {
            self.error(GgufProblem::MissingTensor {
                name: name.to_owned(),
            })
        };
        let info = self.tensors.get(name).ok_or_else(missing)?;
        let values = self.read_stored(info)?;
        match self.interleaved_heads(name)? {
            None => Ok(values),
            Some(n_heads) => {
                names::rotate_half_rows(&values, info.shape[0], n_heads).ok_or_else(|| {
                    self.error(GgufProblem::Dimensions {
                        name: info.name.clone(),
                        dimensions: info.shape.iter().rev().map(|&size| size as u64).collect(),
                        expected: "its rows must be an even number for each attention head",
                    })
                })
            }
        }
    }

    fn origin(&self) -> &Path {
        &self.path
    }
}

fn read_metadata(
    reader: &mut HeaderReader,
    count: u64,
) -> Result<HashMap<String, MetadataValue>, Error> {
    // The smallest entry: a key of length 0, a type and one byte.
    reader.claim::<(String, MetadataValue)>("the metadata", count, 13)?;
    let mut metadata = HashMap::new();
    for _ in 0..count {
        let key = reader.string("a metadata key")?;
        let value = reader.value(&key)?;
        if metadata.contains_key(&key) {
            return Err(reader.error(GgufProblem::Duplicate { name: key }));
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn alignment(metadata: &HashMap<String, MetadataValue>) -> Result<u64, GgufProblem> {
    const DEFAULT: u64 = 32;
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT);
    };
    let found = value.as_u64().unwrap_or(0);
    if found.is_power_of_two() && found <= 1 << 16 {
        return Ok(found);
    }
    Err(GgufProblem::Alignment { found })
}

#[cfg(test)]
mod tests;
