//! One safetensors file.
//!
//! ```text
//! u64 n, little-endian | n bytes of JSON: {"name": {"dtype", "shape", "data_offsets"}, ...} | data
//! ```
//!
//! <https://github.com/huggingface/safetensors>

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::WeightDtype;
use crate::Error;

/// Largest header that is read, as in the reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// The checked header of a file; tensors are read on demand.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    tensors: HashMap<String, Entry>,
    data_start: u64,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl SafetensorsFile {
    /// Opens a file and checks its header against its size.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, its header is not what the format says, or a tensor lies
    /// outside the file, on top of another, or has not as many bytes as its shape calls for.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Safetensors {
            path: path.to_path_buf(),
            reason,
        };
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        if size < 8 {
            return Err(invalid(format!(
                "it has {size} bytes, at least 8 are needed"
            )));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length)
            .map_err(Error::io("read", path))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > size - 8 {
            let reason = format!("its header claims {length} bytes of a file of {size}");
            return Err(invalid(reason));
        }
        let mut header = vec![0; usize::try_from(length).map_err(|e| invalid(e.to_string()))?];
        file.read_exact(&mut header)
            .map_err(Error::io("read", path))?;
        let mut header: Map<String, Value> = serde_json::from_slice(&header)
            .map_err(|error| invalid(format!("its header is not a JSON object: {error}")))?;
        header.remove("__metadata__");
        let data_start = 8 + length;
        let mut tensors = HashMap::with_capacity(header.len());
        for (name, value) in header {
            let entry: Entry = serde_json::from_value(value)
                .map_err(|error| invalid(format!("the entry of tensor {name}: {error}")))?;
            tensors.insert(name, entry);
        }
        check_layout(path, &tensors, size - data_start)?;
        Ok(Self {
            path: path.to_path_buf(),
            tensors,
            data_start,
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.tensors.keys()
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Reads one tensor.
    ///
    /// # Errors
    ///
    /// When there is no such tensor, its type is not supported, or the file cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::MissingTensors {
                path: self.path.clone(),
                first: vec![name.to_owned()],
                count: 1,
            });
        };
        let dtype =
            WeightDtype::from_safetensors(&entry.dtype).ok_or_else(|| Error::UnsupportedDtype {
                name: name.to_owned(),
                path: self.path.clone(),
                dtype: entry.dtype.clone(),
                supported: WeightDtype::SUPPORTED,
            })?;
        let [begin, end] = entry.data_offsets;
        let length = usize::try_from(end - begin).map_err(|error| {
            damaged(
                name,
                &self.path,
                format!("{} bytes do not fit in memory: {error}", end - begin),
            )
        })?;
        let mut file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        file.seek(SeekFrom::Start(self.data_start + begin))
            .map_err(Error::io("read", &self.path))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)
            .map_err(Error::io("read", &self.path))?;
        Ok(dtype.decode(&bytes))
    }
}

/// Every tensor has the bytes that its shape calls for, and together they tile the data.
fn check_layout(path: &Path, tensors: &HashMap<String, Entry>, data: u64) -> Result<(), Error> {
    let mut spans = Vec::with_capacity(tensors.len());
    for (name, entry) in tensors {
        let [begin, end] = entry.data_offsets;
        if begin > end || end > data {
            let reason = format!("its bytes {begin}..{end} lie outside the {data} bytes of data");
            return Err(damaged(name, path, reason));
        }
        // Types that cannot be read may be packed in ways that this reader does not know.
        if let Some(dtype) = WeightDtype::from_safetensors(&entry.dtype) {
            let bytes = entry
                .shape
                .iter()
                .try_fold(dtype.size(), |product, &axis| product.checked_mul(axis))
                .map(|bytes| bytes as u64);
            if bytes != Some(end - begin) {
                let reason = format!(
                    "it has {} bytes, but its shape {:?} of {} calls for {}",
                    end - begin,
                    entry.shape,
                    entry.dtype,
                    bytes.map_or_else(|| "more than there can be".to_owned(), |n| n.to_string())
                );
                return Err(damaged(name, path, reason));
            }
        }
        spans.push((begin, end, name));
    }
    spans.sort_unstable();
    let mut covered = 0;
    for (begin, end, name) in spans {
        if begin != covered {
            let reason = format!("it begins at byte {begin}, where byte {covered} comes next");
            return Err(damaged(name, path, reason));
        }
        covered = end;
    }
    if covered != data {
        let reason = format!("its tensors end at byte {covered} of {data} bytes of data");
        return Err(Error::Safetensors {
            path: path.to_path_buf(),
            reason,
        });
    }
    Ok(())
}

fn damaged(name: &str, path: &Path, reason: String) -> Error {
    Error::DamagedTensor {
        name: name.to_owned(),
        path: path.to_path_buf(),
        reason,
    }
}
