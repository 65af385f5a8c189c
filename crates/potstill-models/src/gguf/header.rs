//! Writing what stands before the blocks.

use std::collections::BTreeMap;

use super::MetadataValue;
use crate::Error;

/// Where tensors begin, the default of the format.
pub(super) const ALIGNMENT: u64 = 32;

const MAGIC: &[u8] = b"GGUF";
const VERSION: u32 = 3;

/// Metadata by key.
pub(super) type Metadata = BTreeMap<String, MetadataValue>;

/// A tensor as the header describes it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// Row-major.
    pub(super) shape: &'a [usize],
    pub(super) type_number: u32,
    /// Relative to the tensor data.
    pub(super) offset: u64,
}

/// Everything up to the first tensor, with padding.
pub(super) fn encode(metadata: &Metadata, tensors: &[Entry<'_>]) -> Result<Vec<u8>, Error> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut out, key);
        put_value(&mut out, value).ok_or_else(|| Error::NotInGguf {
            what: format!("an array of values of different types under {key}"),
            expected: "give values of one type, and no arrays inside",
        })?;
    }
    for tensor in tensors {
        put_text(&mut out, tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        for &size in tensor.shape.iter().rev() {
            out.extend((size as u64).to_le_bytes());
        }
        out.extend(tensor.type_number.to_le_bytes());
        out.extend(tensor.offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(out)
}

/// How a value is stored. Readers insist on the widths that converters use: 32 bits, unless a value
/// needs more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
}

impl Kind {
    fn of(value: &MetadataValue) -> Self {
        match value {
            MetadataValue::Unsigned(value) if u32::try_from(*value).is_ok() => Self::U32,
            MetadataValue::Unsigned(_) => Self::U64,
            MetadataValue::Signed(value) if i32::try_from(*value).is_ok() => Self::I32,
            MetadataValue::Signed(_) => Self::I64,
            MetadataValue::Float(_) => Self::F32,
            MetadataValue::Bool(_) => Self::Bool,
            MetadataValue::String(_) => Self::String,
            MetadataValue::Array(_) => Self::Array,
        }
    }

    /// The kind that holds values of both.
    fn with(self, other: Self) -> Option<Self> {
        let widened = |narrow, wide| self.min(other) == narrow && self.max(other) == wide;
        match self == other || widened(Self::U32, Self::U64) || widened(Self::I32, Self::I64) {
            true => Some(self.max(other)),
            false => None,
        }
    }
}

fn put_value(out: &mut Vec<u8>, value: &MetadataValue) -> Option<()> {
    let kind = Kind::of(value);
    out.extend((kind as u32).to_le_bytes());
    let MetadataValue::Array(items) = value else {
        put_scalar(out, kind, value);
        return Some(());
    };
    let kinds = items.iter().map(|item| Some(Kind::of(item)));
    // An empty array has to be of some type.
    let kind = kinds
        .reduce(|all, one| all?.with(one?))
        .unwrap_or(Some(Kind::String))
        .filter(|&kind| kind != Kind::Array)?;
    out.extend((kind as u32).to_le_bytes());
    out.extend((items.len() as u64).to_le_bytes());
    for item in items {
        put_scalar(out, kind, item);
    }
    Some(())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the kind was chosen so that the value fits, and floats are 32 bits wide"
)]
fn put_scalar(out: &mut Vec<u8>, kind: Kind, value: &MetadataValue) {
    match value {
        MetadataValue::Unsigned(value) if kind == Kind::U32 => {
            out.extend((*value as u32).to_le_bytes());
        }
        MetadataValue::Unsigned(value) => out.extend(value.to_le_bytes()),
        MetadataValue::Signed(value) if kind == Kind::I32 => {
            out.extend((*value as i32).to_le_bytes());
        }
        MetadataValue::Signed(value) => out.extend(value.to_le_bytes()),
        MetadataValue::Float(value) => out.extend((*value as f32).to_le_bytes()),
        MetadataValue::Bool(value) => out.push(u8::from(*value)),
        MetadataValue::String(value) => put_text(out, value),
        MetadataValue::Array(_) => {}
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
