//! What a cache says about itself.

use std::io::Write;
use std::path::Path;

use atomic_write_file::AtomicWriteFile;
use potstill_core::Vocabulary;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::sha256;
use super::{CacheError, Keep, TeacherIdentity};

/// Name of the file.
pub(super) const MANIFEST: &str = "manifest.json";

const SCHEMA: &str = "potstill.teacher-cache/1";

const ROW_KEY: &str = "first 16 bytes of SHA-256 over the segment's token ids as little-endian u32, \
                       then the position in the segment";

/// Everything that holds for all rows, and the shards they are in.
///
/// The manifest is replaced after a shard was written, so that what it names is always whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    schema: String,
    pub(super) teacher: TeacherIdentity,
    pub(super) vocabulary: Vocabulary,
    pub(super) keep: Keep,
    /// What the teacher's logits were divided by.
    temperature: f64,
    pub(super) hidden: KeptHidden,
    row_key: String,
    pub(super) shards: Vec<ShardEntry>,
    /// SHA-256 of this JSON without spaces and with an empty string here.
    checksum: String,
}

/// The hidden states that are kept, in f16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptHidden {
    pub(super) layers: Vec<usize>,
    pub(super) d_model: usize,
}

/// One file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShardEntry {
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) sha256: String,
}

impl Manifest {
    pub(super) fn new(
        teacher: TeacherIdentity,
        vocabulary: Vocabulary,
        keep: Keep,
        hidden_layers: Vec<usize>,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            teacher,
            vocabulary,
            keep,
            temperature: 1.0,
            hidden: KeptHidden {
                layers: hidden_layers,
                d_model: 0,
            },
            row_key: ROW_KEY.to_owned(),
            shards: Vec::new(),
            checksum: String::new(),
        }
    }

    /// Reads and checks the manifest in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, CacheError> {
        let path = &folder.join(MANIFEST);
        let bytes = std::fs::read(path).map_err(CacheError::io("read", path))?;
        let invalid = |source| CacheError::Manifest {
            path: path.clone(),
            source,
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(invalid)?;
        // Before the rest: another version may have other fields.
        let schema = value.get("schema").and_then(Value::as_str);
        if schema != Some(SCHEMA) {
            return Err(CacheError::Schema {
                path: path.clone(),
                found: schema.unwrap_or("none").to_owned(),
                expected: SCHEMA,
            });
        }
        let manifest: Self = serde_json::from_value(value).map_err(invalid)?;
        let plain = |entry: &ShardEntry| {
            Path::new(&entry.file).file_name() == Some(std::ffi::OsStr::new(&entry.file))
        };
        if manifest.checksum != manifest.sum().map_err(invalid)?
            || manifest.temperature != 1.0
            || manifest.row_key != ROW_KEY
            || !manifest.shards.iter().all(plain)
        {
            return Err(CacheError::ManifestChecksum { path: path.clone() });
        }
        Ok(manifest)
    }

    /// Writes the manifest beside the one in `folder` and puts it in its place.
    pub(super) fn write(&mut self, folder: &Path) -> Result<(), CacheError> {
        let path = &folder.join(MANIFEST);
        let json = self.seal().map_err(|source| CacheError::Manifest {
            path: path.clone(),
            source,
        })?;
        let write = || -> std::io::Result<()> {
            let mut file = AtomicWriteFile::open(path)?;
            file.write_all(&json)?;
            file.commit()
        };
        write().map_err(CacheError::io("write", path))
    }

    /// Sets the checksum and gives the content of the file.
    pub(super) fn seal(&mut self) -> Result<Vec<u8>, serde_json::Error> {
        self.checksum = self.sum()?;
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    fn sum(&self) -> Result<String, serde_json::Error> {
        let blank = Self {
            checksum: String::new(),
            ..self.clone()
        };
        let json = serde_json::to_vec(&blank)?;
        sha256(&mut json.as_slice()).map_err(serde_json::Error::io)
    }
}
