//! Writing one safetensors file, a tensor at a time.

use std::io::{BufWriter, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use serde_json::{Map, json};

use super::WeightDtype;
use crate::Error;
use crate::source::TensorSource;

/// A tensor to write.
#[derive(Clone, Debug)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Bytes it takes in the file.
    pub(crate) bytes: usize,
}

/// Writes `tensors` of `source` beside `path` and renames the whole file into place.
///
/// # Errors
///
/// When a tensor cannot be read or the file cannot be written; whatever was at `path` is then still
/// there.
pub(crate) fn write_safetensors(
    path: &Path,
    tensors: &[TensorEntry],
    source: &dyn TensorSource,
    dtype: WeightDtype,
) -> Result<(), Error> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes;
        let entry = json!({
            "dtype": dtype.safetensors_name(),
            "shape": tensor.shape,
            "data_offsets": [offset, end],
        });
        header.insert(tensor.name.clone(), entry);
        offset = end;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    // The data begins at a multiple of eight, as the format asks for.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = AtomicWriteFile::open(path).map_err(Error::io("write", path))?;
    let mut out = BufWriter::new(&mut file);
    let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(Error::io("write", path));
    put(&(header.len() as u64).to_le_bytes())?;
    put(&header)?;
    for tensor in tensors {
        put(&dtype.encode(&source.read(&tensor.name)?))?;
    }
    out.flush().map_err(Error::io("write", path))?;
    drop(out);
    file.commit().map_err(Error::io("write", path))
}
