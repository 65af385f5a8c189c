//! Which teacher a cache speaks for.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CacheError;

/// What tells one teacher from another: a name for people and a hash of its weights.
///
/// Two teachers are the same when their hashes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherIdentity {
    /// A name for people.
    pub name: String,
    /// SHA-256 in hexadecimal.
    pub hash: String,
}

impl TeacherIdentity {
    /// Hashes the file that the teacher is loaded from.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, CacheError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(CacheError::io("open", path))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            hash: sha256(&mut file).map_err(CacheError::io("read", path))?,
        })
    }

    /// Hashes the parameters of a model in memory: their shapes, dtypes and values, in order.
    #[must_use]
    pub fn of_model(name: impl Into<String>, model: &impl Module) -> Self {
        let mut visitor = HashParameters(Sha256::new());
        model.visit(&mut visitor);
        Self {
            name: name.into(),
            hash: format!("{:x}", visitor.0.finalize()),
        }
    }
}

impl PartialEq for TeacherIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TeacherIdentity {}

impl fmt::Display for TeacherIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.get(..12).unwrap_or(&self.hash);
        write!(f, "{} ({hash})", self.name)
    }
}

/// SHA-256 of everything that `source` still has, in hexadecimal.
pub(super) fn sha256(source: &mut impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

struct HashParameters(Sha256);

impl ModuleVisitor for HashParameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        for axis in param.val().dims() {
            self.0.update((axis as u64).to_le_bytes());
        }
        self.0.update(format!("{:?}", data.dtype()));
        self.0.update(data.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use potstill_testkit::{TinyLm, plain_device};

    use super::*;

    #[test]
    fn weights_tell_teachers_apart_and_names_do_not() {
        let model = |seed| TinyLm::new(11, 4, 1, seed, &plain_device());
        let first = TeacherIdentity::of_model("first", &model(1));
        assert_eq!(first, TeacherIdentity::of_model("renamed", &model(1)));
        assert_ne!(first, TeacherIdentity::of_model("first", &model(2)));
    }

    #[test]
    fn a_file_is_hashed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.gguf");
        std::fs::write(&path, "abc").unwrap();
        let identity = TeacherIdentity::of_file(&path).unwrap();
        assert_eq!(identity.to_string(), "teacher.gguf (ba7816bf8f01)");
        let error = TeacherIdentity::of_file(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot open "), "{error}");
    }
}
