//! Reading and writing, and headers that lie.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Error;
use crate::source::TensorSource;

/// A folder with one file of the given header and data.
fn folder(header: &Value, data: &[u8]) -> tempfile::TempDir {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SINGLE), bytes).unwrap();
    folder
}

#[track_caller]
fn check_refused(header: &Value, data: &[u8], message: &str) {
    let folder = folder(header, data);
    let error = SafetensorsFolder::open(folder.path()).unwrap_err();
    let path = folder.path().join(SINGLE).display().to_string();
    assert_eq!(error.to_string(), message.replace("FILE", &path));
}

fn entry(dtype: &str, shape: &[u64], offsets: [u64; 2]) -> Value {
    json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets })
}

#[test]
fn all_three_types_are_read() {
    let mut data = 1.5f32.to_le_bytes().to_vec();
    data.extend(half::f16::from_f32(-2.0).to_le_bytes());
    data.extend(half::bf16::from_f32(0.25).to_le_bytes());
    let header = json!({
        "__metadata__": { "format": "pt" },
        "a": entry("F32", &[1], [0, 4]),
        "b": entry("F16", &[1, 1], [4, 6]),
        "c": entry("BF16", &[], [6, 8]),
    });
    let folder = folder(&header, &data);
    let file = SafetensorsFolder::open(folder.path()).unwrap();
    assert_eq!(file.read("a").unwrap(), [1.5]);
    assert_eq!(file.read("b").unwrap(), [-2.0]);
    assert_eq!(file.read("c").unwrap(), [0.25]);
    assert_eq!(file.shape("b"), Some(vec![1, 1]));
    assert_eq!(file.shape("d"), None);
    assert!(matches!(
        file.read("d"),
        Err(Error::MissingTensors { count: 1, .. })
    ));
}

#[test]
fn other_types_are_refused_when_they_are_needed() {
    let header = json!({ "mask": entry("BOOL", &[2], [0, 2]) });
    let folder = folder(&header, &[0, 1]);
    let file = SafetensorsFolder::open(folder.path()).unwrap();
    let message = file.read("mask").unwrap_err().to_string();
    assert!(
        message.ends_with("has type BOOL; readable are F32, F16, BF16"),
        "{message}"
    );
}

#[test]
fn tensors_must_tile_the_data() {
    check_refused(
        &json!({ "a": entry("F32", &[1], [0, 8]) }),
        &[0; 4],
        "tensor a of FILE is damaged: its bytes 0..8 lie outside the 4 bytes of data",
    );
    check_refused(
        &json!({ "a": entry("F32", &[2], [0, 4]) }),
        &[0; 4],
        "tensor a of FILE is damaged: it has 4 bytes, but its shape [2] of F32 calls for 8",
    );
    check_refused(
        &json!({ "a": entry("F32", &[1 << 60, 1 << 60], [0, 4]) }),
        &[0; 4],
        "tensor a of FILE is damaged: it has 4 bytes, but its shape [1152921504606846976, \
         1152921504606846976] of F32 calls for more than there can be",
    );
    check_refused(
        &json!({ "a": entry("F32", &[1], [0, 4]), "b": entry("F32", &[1], [2, 6]) }),
        &[0; 6],
        "tensor b of FILE is damaged: it begins at byte 2, where byte 4 comes next",
    );
    check_refused(
        &json!({ "a": entry("F32", &[1], [0, 4]) }),
        &[0; 5],
        "FILE is not a valid safetensors file: its tensors end at byte 4 of 5 bytes of data",
    );
    check_refused(
        &json!({ "a": entry("F32", &[1], [4, 0]) }),
        &[0; 4],
        "tensor a of FILE is damaged: its bytes 4..0 lie outside the 4 bytes of data",
    );
}

#[test]
fn a_header_longer_than_the_file_is_never_allocated() {
    for length in [u64::MAX, 1 << 40, 9, 99_999_999] {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        fs::write(folder.path().join(SINGLE), &bytes).unwrap();
        let message = SafetensorsFolder::open(folder.path())
            .unwrap_err()
            .to_string();
        let claim = format!("its header claims {length} bytes of a file of 10");
        assert!(message.ends_with(&claim), "{message}");
    }
}

#[test]
fn an_index_cannot_leave_its_folder() {
    for shard in [
        "../model.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        "",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let index = json!({ "weight_map": { "a": shard } });
        fs::write(folder.path().join(INDEX), index.to_string()).unwrap();
        let error = SafetensorsFolder::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, Error::ShardIndex { .. }),
            "{shard}: {error}"
        );
    }
}

#[test]
fn an_index_must_tell_the_truth() {
    let folder = folder(&json!({ "a": entry("F32", &[1], [0, 4]) }), &[0; 4]);
    let shard = folder.path().join("shard.safetensors");
    fs::rename(folder.path().join(SINGLE), &shard).unwrap();
    let write = |map: Value| {
        let index = json!({ "weight_map": map });
        fs::write(folder.path().join(INDEX), index.to_string()).unwrap();
    };
    write(json!({ "a": "shard.safetensors" }));
    assert_eq!(
        SafetensorsFolder::open(folder.path()).unwrap().names(),
        ["a"]
    );
    write(json!({ "b": "shard.safetensors" }));
    let message = SafetensorsFolder::open(folder.path())
        .unwrap_err()
        .to_string();
    assert!(message.ends_with("tensor b is not in shard.safetensors, where it is said to be"));
    write(json!({ "a": "absent.safetensors" }));
    let error = SafetensorsFolder::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Io { action: "open", .. }), "{error}");
}

#[test]
fn a_folder_without_weights_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let message = SafetensorsFolder::open(folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("neither model.safetensors nor"),
        "{message}"
    );
}

/// Numbers by name, to be written.
struct Numbers(Vec<f32>);

impl TensorSource for Numbers {
    fn names(&self) -> Vec<String> {
        vec!["x".into()]
    }

    fn shape(&self, _name: &str) -> Option<Vec<usize>> {
        Some(vec![self.0.len()])
    }

    fn read(&self, _name: &str) -> Result<Vec<f32>, Error> {
        Ok(self.0.clone())
    }

    fn origin(&self) -> &Path {
        Path::new("memory")
    }
}

fn written(values: Vec<f32>, dtype: WeightDtype) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SINGLE);
    let bytes = values.len() * dtype.size();
    let entry = TensorEntry {
        name: "x".into(),
        shape: vec![values.len()],
        bytes,
    };
    write_safetensors(&path, &[entry], &Numbers(values), dtype).unwrap();
    (folder, path)
}

#[test]
fn the_reference_implementation_reads_what_is_written() {
    let (_folder, path) = written(vec![1.0, -2.5], WeightDtype::F32);
    let bytes = fs::read(path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        file.tensor("x").unwrap().data(),
        [0, 0, 128, 63, 0, 0, 32, 192]
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(values in prop::collection::vec(any::<f32>(), 0..40)) {
        let (folder, _) = written(values.clone(), WeightDtype::F32);
        let read = SafetensorsFolder::open(folder.path()).unwrap().read("x").unwrap();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&read), bits(&values));
    }

    #[test]
    fn damage_is_an_error_or_harmless(
        cut in 0usize..200,
        flips in prop::collection::vec((0usize..200, 0u8..8), 0..4),
    ) {
        let (folder, path) = written((0..20).map(|i| i as f32).collect(), WeightDtype::Bf16);
        let mut bytes = fs::read(&path).unwrap();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 50));
        fs::write(&path, bytes).unwrap();
        if let Ok(file) = SafetensorsFolder::open(folder.path()) {
            for name in file.names() {
                let shape = file.shape(&name).unwrap();
                if let Ok(values) = file.read(&name) {
                    prop_assert_eq!(values.len(), shape.iter().product::<usize>());
                }
            }
        }
    }
}
