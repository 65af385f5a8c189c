//! Files that were cut off, flipped or forged: one clear error each, and never a panic.

use std::fs;
use std::path::PathBuf;

use super::super::identity::sha256;
use super::super::manifest::Manifest;
use super::*;

const KEEPS: [Keep; 3] = [
    Keep::Dense,
    Keep::TopK {
        k: 3,
        log_prob_bits: 5,
    },
    Keep::Sampled { draws: 9, seed: 1 },
];

struct Files {
    folder: tempfile::TempDir,
    shard: PathBuf,
    bytes: Vec<u8>,
}

fn files(keep: Keep) -> Files {
    let folder = tempfile::tempdir().unwrap();
    cached(folder.path(), keep, &[two_documents()]);
    let shard = folder.path().join("shard-00000.safetensors");
    let bytes = fs::read(&shard).unwrap();
    Files {
        folder,
        shard,
        bytes,
    }
}

impl Files {
    /// What a training run would see.
    fn read(&self) -> Result<TeacherSignal, TeacherError> {
        let mut cached = CachedTeacher::open(self.folder.path())?;
        cached.signal(&two_documents(), &Taps::default())
    }

    fn failure(&self) -> String {
        match self.read().unwrap_err() {
            TeacherError::Source(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Makes the manifest agree with whatever the shard is now.
    fn forge(&self) {
        let mut manifest = Manifest::read(self.folder.path()).unwrap();
        let bytes = fs::read(&self.shard).unwrap();
        manifest.shards[0].bytes = bytes.len() as u64;
        manifest.shards[0].sha256 = sha256(&mut bytes.as_slice()).unwrap();
        let json = manifest.seal().unwrap();
        fs::write(self.folder.path().join("manifest.json"), json).unwrap();
    }
}

#[test]
fn a_shard_cut_off_anywhere_is_told_by_its_size() {
    let files = files(Keep::Dense);
    for length in 0..files.bytes.len() {
        fs::write(&files.shard, &files.bytes[..length]).unwrap();
        let expected = format!("has {length} bytes, {} were written", files.bytes.len());
        let error = files.failure();
        assert!(error.contains(&expected), "{error}");
    }
    fs::remove_file(&files.shard).unwrap();
    assert!(files.failure().starts_with("cannot open "));
}

#[test]
fn a_shard_cut_off_under_a_reader_is_an_error() {
    let files = files(Keep::Dense);
    let mut cached = CachedTeacher::open(files.folder.path()).unwrap();
    cached.verify().unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&files.shard)
        .unwrap();
    file.set_len(files.bytes.len() as u64 / 2).unwrap();
    let error = cached
        .signal(&two_documents(), &Taps::default())
        .unwrap_err();
    let TeacherError::Source(error) = error else {
        panic!("{error}")
    };
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}

#[test]
fn one_bit_flipped_anywhere_in_a_shard_is_noticed() {
    for keep in KEEPS {
        let files = files(keep);
        for place in 0..files.bytes.len() {
            let mut bytes = files.bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(&files.shard, &bytes).unwrap();
            assert!(files.read().is_err(), "byte {place} of {keep:?}");
        }
        fs::write(&files.shard, &files.bytes).unwrap();
        assert!(files.read().is_ok());
    }
}

#[test]
fn a_flipped_bit_in_what_is_kept_names_file_and_checksums() {
    let files = files(Keep::Dense);
    let mut bytes = files.bytes.clone();
    // The rows stand before the keys of the three runs.
    let last_of_rows = bytes.len() - 3 * 16 - 1;
    bytes[last_of_rows] ^= 1;
    fs::write(&files.shard, &bytes).unwrap();
    let error = files.failure();
    assert!(
        error.contains("shard-00000.safetensors is damaged: its SHA-256 is "),
        "{error}"
    );
}

#[test]
fn a_flipped_bit_in_an_index_is_not_taken_for_a_missing_row() {
    let files = files(Keep::Dense);
    let mut bytes = files.bytes.clone();
    // The keys of the runs stand at the end.
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&files.shard, &bytes).unwrap();
    assert!(files.failure().contains("is damaged"));
}

#[test]
fn one_bit_flipped_in_the_manifest_is_noticed() {
    let files = files(Keep::top_k(3));
    let path = files.folder.path().join("manifest.json");
    let original = fs::read(&path).unwrap();
    let expected = Manifest::read(files.folder.path()).unwrap();
    for place in 0..original.len() * 8 {
        let mut bytes = original.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        // Spaces are no content.
        if let Ok(manifest) = Manifest::read(files.folder.path()) {
            assert_eq!(manifest, expected, "bit {place}");
        }
    }
    for length in 0..original.len() - 2 {
        fs::write(&path, &original[..length]).unwrap();
        let error = CachedTeacher::open(files.folder.path()).unwrap_err();
        assert!(matches!(error, CacheError::Manifest { .. }), "{error}");
    }
}

#[test]
fn another_schema_is_named() {
    let files = files(Keep::Dense);
    let path = files.folder.path().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("teacher-cache/1", "teacher-cache/2")).unwrap();
    let error = files.failure();
    let expected =
        "has the schema potstill.teacher-cache/2, this program reads potstill.teacher-cache/1";
    assert!(error.ends_with(expected), "{error}");
    fs::write(&path, "{}").unwrap();
    assert!(files.failure().contains("has the schema none"));
}

#[test]
fn a_header_that_claims_more_than_the_file_is_refused_before_it_is_read() {
    let files = files(Keep::Dense);
    for length in [u64::MAX, 1 << 40, files.bytes.len() as u64] {
        let mut bytes = files.bytes.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        fs::write(&files.shard, &bytes).unwrap();
        files.forge();
        assert!(
            files
                .failure()
                .contains(&format!("its header claims {length}"))
        );
    }
}

#[test]
fn a_shard_of_other_settings_is_refused() {
    let (files, other) = (files(Keep::top_k(3)), files(Keep::top_k(4)));
    fs::write(&files.shard, &other.bytes).unwrap();
    files.forge();
    let error = files.failure();
    assert!(error.contains("its tensor top_k is U8 [5, "), "{error}");
}

#[test]
fn a_forged_shard_never_makes_a_panic() {
    for keep in KEEPS {
        let files = files(keep);
        for place in 0..files.bytes.len() {
            for flip in [1u8 << (place % 8), 0xff] {
                let mut bytes = files.bytes.clone();
                bytes[place] ^= flip;
                fs::write(&files.shard, &bytes).unwrap();
                files.forge();
                drop(files.read());
            }
        }
    }
}

#[test]
fn a_cut_off_and_forged_shard_never_makes_a_panic() {
    for keep in KEEPS {
        let files = files(keep);
        for length in 0..files.bytes.len() {
            fs::write(&files.shard, &files.bytes[..length]).unwrap();
            files.forge();
            assert!(files.read().is_err(), "{length} bytes of {keep:?}");
        }
    }
}
