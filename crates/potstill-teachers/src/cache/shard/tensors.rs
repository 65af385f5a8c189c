//! Which tensors a shard consists of, and where they are.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::columns::Layout;

/// A tensor as a shard must have it.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) dtype: &'static str,
    pub(super) shape: Vec<usize>,
}

impl Expected {
    /// Bytes in the file; `None` for more than there can be.
    fn bytes(&self) -> Option<u64> {
        let element = match self.dtype {
            "U32" => 4,
            "F16" => 2,
            _ => 1,
        };
        let bytes = self
            .shape
            .iter()
            .try_fold(element, |product: usize, &axis| product.checked_mul(axis))?;
        Some(bytes as u64)
    }
}

/// The tensors of a shard, in the order of the file.
pub(super) fn expected(layout: &Layout, rows: usize, runs: usize, ids: usize) -> Vec<Expected> {
    let tensor = |name: &str, dtype, shape: &[usize]| Expected {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    };
    let id_bytes = layout.code.id_bytes();
    let (name, dtype, length) = layout.code.fixed();
    let mut tensors = vec![tensor("run_spans", "U32", &[runs, 2])];
    tensors.extend(id_bytes.map(|_| tensor("run_ids", "U32", &[runs])));
    tensors.extend(
        (0..layout.hidden).map(|i| tensor(&format!("hidden.{i}"), "F16", &[rows, layout.d_model])),
    );
    tensors.push(tensor(name, dtype, &[rows, length]));
    tensors.extend(id_bytes.map(|bytes| tensor("draw_ids", "U8", &[ids, bytes])));
    tensors.push(tensor("run_keys", "U8", &[runs, 16]));
    tensors
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Where the tensors of a shard are in its file.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) rows: u64,
    pub(super) run_keys: Range<u64>,
    pub(super) run_spans: Range<u64>,
    /// Empty unless rows have token ids apart.
    pub(super) run_ids: Range<u64>,
    pub(super) fixed: Range<u64>,
    /// Empty unless rows have token ids apart.
    pub(super) token_ids: Range<u64>,
    pub(super) hidden: Vec<Range<u64>>,
}

impl Places {
    /// Reads a header, after which the data begins at byte `start` of `size`.
    ///
    /// # Errors
    ///
    /// What is wrong, when a tensor is missing, lies outside of the file, or is not as it must be.
    pub(super) fn new(
        header: &[u8],
        start: u64,
        size: u64,
        rows: u64,
        layout: &Layout,
    ) -> Result<Self, String> {
        let header: Map<String, Value> = serde_json::from_slice(header)
            .map_err(|error| format!("its header is not a JSON object: {error}"))?;
        let data = size - start;
        let entry = |name: &str| -> Result<Entry, String> {
            let value = header.get(name).cloned().unwrap_or_default();
            let entry: Entry = serde_json::from_value(value)
                .map_err(|error| format!("its tensor {name}: {error}"))?;
            let [begin, end] = entry.data_offsets;
            if begin > end || end > data {
                return Err(format!(
                    "its tensor {name} lies outside of its {data} bytes of data"
                ));
            }
            Ok(entry)
        };
        let length = |name: &str| Ok::<_, String>(entry(name)?.shape.first().copied().unwrap_or(0));
        let ids = match layout.code.id_bytes() {
            Some(_) => length("draw_ids")?,
            None => 0,
        };
        let lines = usize::try_from(rows).unwrap_or(usize::MAX);
        let mut places = Self {
            rows,
            ..Self::default()
        };
        for tensor in expected(layout, lines, length("run_keys")?, ids) {
            let entry = entry(&tensor.name)?;
            let [begin, end] = entry.data_offsets;
            if entry.dtype != tensor.dtype
                || entry.shape != tensor.shape
                || tensor.bytes() != Some(end - begin)
            {
                return Err(format!(
                    "its tensor {} is {} {:?} in {} bytes, where {} {:?} is called for",
                    tensor.name,
                    entry.dtype,
                    entry.shape,
                    end - begin,
                    tensor.dtype,
                    tensor.shape,
                ));
            }
            let place = start + begin..start + end;
            match tensor.name.as_str() {
                "run_keys" => places.run_keys = place,
                "run_spans" => places.run_spans = place,
                "run_ids" => places.run_ids = place,
                "draw_ids" => places.token_ids = place,
                name if name.starts_with("hidden.") => places.hidden.push(place),
                _ => places.fixed = place,
            }
        }
        Ok(places)
    }
}
