//! Writing a shard.

use std::io::{BufWriter, Write};
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::CacheError;
use super::super::columns::{Columns, Layout};
use super::super::manifest::ShardEntry;
use super::KeyedRun;
use super::tensors::expected;

/// Writes `rows` as the shard `file` of `folder`.
///
/// # Errors
///
/// When the file cannot be written; what was there before is then still there.
pub(in crate::cache) fn write_shard(
    folder: &Path,
    file: String,
    rows: &Columns,
    runs: &[KeyedRun],
    layout: &Layout,
) -> Result<ShardEntry, CacheError> {
    let spans = |run: &KeyedRun| [run.position, run.run.rows].map(u32::to_le_bytes);
    let spans: Vec<u8> = runs.iter().flat_map(spans).flatten().collect();
    let first_ids = |run: &KeyedRun| run.run.first_id.to_le_bytes();
    let first_ids: Vec<u8> = runs.iter().flat_map(first_ids).collect();
    let keys: Vec<u8> = runs
        .iter()
        .flat_map(|run| run.segment.to_le_bytes())
        .collect();

    let expected = expected(
        layout,
        rows.rows as usize,
        runs.len(),
        rows.ids(layout) as usize,
    );
    let hidden = rows.hidden.iter().map(Vec::as_slice);
    let mut data = vec![spans.as_slice()];
    if layout.code.id_bytes().is_some() {
        data.push(&first_ids);
    }
    data.extend(hidden.chain([rows.fixed.as_slice()]));
    if layout.code.id_bytes().is_some() {
        data.push(&rows.token_ids);
    }
    data.push(&keys);

    let mut header = Map::new();
    let mut offset = 0;
    for (tensor, bytes) in expected.iter().zip(&data) {
        let end = offset + bytes.len();
        header.insert(
            tensor.name.clone(),
            json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end] }),
        );
        offset = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // The data begins at a multiple of eight, as the format asks for.
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();

    let path = &folder.join(&file);
    let mut hasher = Sha256::new();
    let mut write = || -> std::io::Result<()> {
        let mut out = AtomicWriteFile::open(path)?;
        let mut buffered = BufWriter::new(&mut out);
        for bytes in [length.as_slice(), &header].iter().chain(&data) {
            hasher.update(bytes);
            buffered.write_all(bytes)?;
        }
        buffered.flush()?;
        drop(buffered);
        out.commit()
    };
    write().map_err(CacheError::io("write", path))?;
    Ok(ShardEntry {
        file,
        bytes: (8 + header.len() + offset) as u64,
        rows: rows.rows.into(),
        sha256: format!("{:x}", hasher.finalize()),
    })
}
