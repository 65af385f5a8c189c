//! Writes small GGUF files, also wrong ones.

use std::path::PathBuf;

use crate::GgufFile;
use crate::gguf::{BlockType, MetadataValue};

/// A file under construction; fields can be made to lie.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) metadata: Vec<(String, MetadataValue)>,
    pub(crate) tensors: Vec<Tensor>,
}

#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Row-major.
    pub(crate) shape: Vec<u64>,
    pub(crate) type_number: u32,
    pub(crate) bytes: Vec<u8>,
    /// Where it claims to be, if not where it is.
    pub(crate) offset: Option<u64>,
}

impl Writer {
    pub(crate) fn new(architecture: &str) -> Self {
        let writer = Self {
            version: 3,
            alignment: 32,
            metadata: Vec::new(),
            tensors: Vec::new(),
        };
        writer.text("general.architecture", architecture)
    }

    pub(crate) fn set(mut self, key: &str, value: MetadataValue) -> Self {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), value));
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(known, _)| known != key);
        self
    }

    pub(crate) fn text(self, key: &str, text: &str) -> Self {
        self.set(key, MetadataValue::String(text.to_owned()))
    }

    pub(crate) fn size(self, key: &str, size: usize) -> Self {
        self.set(key, MetadataValue::Unsigned(size as u64))
    }

    pub(crate) fn number(self, key: &str, number: f64) -> Self {
        self.set(key, MetadataValue::Float(number))
    }

    pub(crate) fn texts<'a>(self, key: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts = texts
            .into_iter()
            .map(|text| MetadataValue::String(text.to_owned()));
        self.set(key, MetadataValue::Array(texts.collect()))
    }

    pub(crate) fn sizes(self, key: &str, sizes: impl IntoIterator<Item = u64>) -> Self {
        self.set(
            key,
            MetadataValue::Array(sizes.into_iter().map(MetadataValue::Unsigned).collect()),
        )
    }

    pub(crate) fn tensor(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            type_number: BlockType::F32.number(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            offset: None,
        });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            put_text(&mut out, key);
            out.extend(type_number(value).to_le_bytes());
            if let MetadataValue::Array(items) = value {
                let kind = items.first().map_or(4, type_number);
                out.extend(kind.to_le_bytes());
                out.extend((items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| put_scalar(&mut out, item));
            } else {
                put_scalar(&mut out, value);
            }
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor
                .shape
                .iter()
                .rev()
                .for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.type_number.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }

    pub(crate) fn open(&self) -> Result<GgufFile, crate::Error> {
        open(&self.bytes())
    }

    /// Why it cannot be opened.
    pub(crate) fn problem(&self) -> String {
        self.open().expect_err("a damaged file").to_string()
    }
}

pub(crate) fn open(bytes: &[u8]) -> Result<GgufFile, crate::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    GgufFile::open(path)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn type_number(value: &MetadataValue) -> u32 {
    match value {
        MetadataValue::Unsigned(_) => 10,
        MetadataValue::Signed(_) => 11,
        MetadataValue::Float(_) => 6,
        MetadataValue::Bool(_) => 7,
        MetadataValue::String(_) => 8,
        MetadataValue::Array(_) => 9,
    }
}

fn put_scalar(out: &mut Vec<u8>, value: &MetadataValue) {
    match value {
        MetadataValue::Unsigned(value) => out.extend(value.to_le_bytes()),
        MetadataValue::Signed(value) => out.extend(value.to_le_bytes()),
        MetadataValue::Float(value) => out.extend((*value as f32).to_le_bytes()),
        MetadataValue::Bool(value) => out.push(u8::from(*value)),
        MetadataValue::String(value) => put_text(out, value),
        MetadataValue::Array(_) => panic!("arrays hold no arrays"),
    }
}
