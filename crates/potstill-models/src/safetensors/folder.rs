//! The weights of a Hugging Face folder: one file, or shards and their index.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::SafetensorsFile;
use crate::Error;
use crate::source::TensorSource;

/// Name of the only file.
pub(crate) const SINGLE: &str = "model.safetensors";
/// Name of the index of shards.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// The tensors of all files of a folder.
#[derive(Debug)]
pub(crate) struct SafetensorsFolder {
    folder: PathBuf,
    files: Vec<SafetensorsFile>,
    /// Which file holds a tensor.
    index: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl SafetensorsFolder {
    /// Opens `model.safetensors` or the shards of `model.safetensors.index.json`.
    ///
    /// # Errors
    ///
    /// When there is neither, the index points outside the folder or to a tensor that its shard
    /// lacks, or a file is damaged.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let single = folder.join(SINGLE);
        if single.is_file() {
            let file = SafetensorsFile::open(&single)?;
            let index = file.names().map(|name| (name.clone(), 0)).collect();
            return Ok(Self {
                folder: folder.to_path_buf(),
                files: vec![file],
                index,
            });
        }
        let path = folder.join(INDEX);
        if !path.is_file() {
            return Err(Error::NotACheckpoint {
                path: folder.to_path_buf(),
                expected: "it holds neither model.safetensors nor model.safetensors.index.json",
            });
        }
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let shards: ShardIndex = serde_json::from_slice(&text).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        let wrong = |reason| Error::ShardIndex {
            path: path.clone(),
            reason,
        };
        let mut files = Vec::new();
        let mut opened: HashMap<&str, usize> = HashMap::new();
        let mut index = HashMap::with_capacity(shards.weight_map.len());
        for (name, shard) in &shards.weight_map {
            let position = match opened.get(shard.as_str()) {
                Some(&position) => position,
                None => {
                    if Path::new(shard).file_name() != Some(OsStr::new(shard)) {
                        return Err(wrong(format!(
                            "tensor {name} is said to be in {shard:?}, which is no file of this folder"
                        )));
                    }
                    files.push(SafetensorsFile::open(&folder.join(shard))?);
                    opened.insert(shard, files.len() - 1);
                    files.len() - 1
                }
            };
            if files[position].shape(name).is_none() {
                return Err(wrong(format!(
                    "tensor {name} is not in {shard}, where it is said to be"
                )));
            }
            index.insert(name.clone(), position);
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            files,
            index,
        })
    }
}

impl TensorSource for SafetensorsFolder {
    fn names(&self) -> Vec<String> {
        self.index.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let file = &self.files[*self.index.get(name)?];
        file.shape(name).map(<[usize]>::to_vec)
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        match self.index.get(name) {
            Some(&file) => self.files[file].read(name),
            None => Err(Error::MissingTensors {
                path: self.folder.clone(),
                first: vec![name.to_owned()],
                count: 1,
            }),
        }
    }

    fn origin(&self) -> &Path {
        &self.folder
    }
}
