//! A builder that is killed, and one whose disk is full.
//!
//! The test binary runs itself: a child fills a cache until something happens to it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use potstill_core::{Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, TokenRow, Vocabulary};
use potstill_teachers::{
    CacheBuilder, CacheConfig, CachedTeacher, Keep, ModelTeacher, TeacherIdentity,
};
use potstill_testkit::{TinyLm, plain_device};

const FOLDER: &str = "POTSTILL_TEST_CACHE_FOLDER";
const BATCHES: u32 = 60;
const KEEP: Keep = Keep::Sampled { draws: 20, seed: 3 };

/// A teacher that takes its time, so that there is something to interrupt.
struct Slow(ModelTeacher<TinyLm>, Duration);

impl Teacher for Slow {
    fn vocabulary(&self) -> &Vocabulary {
        self.0.vocabulary()
    }
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        std::thread::sleep(self.1);
        self.0.signal(batch, taps)
    }
}

fn batch(number: u32) -> TokenBatch {
    let text: Vec<u32> = (0..24)
        .map(|i| 1 + (number * 7 + i * (number + 3)) % 96)
        .collect();
    let row = TokenRow::document(&text, &[1.0; 24]);
    TokenBatch::from_rows(&[row], 0, &plain_device())
}

fn builder(folder: &Path, pause: Duration) -> CacheBuilder<Slow> {
    let model = TinyLm::new(97, 8, 2, 5, &plain_device());
    let config = CacheConfig {
        hidden: vec![1],
        shard_bytes: 4096,
        ..CacheConfig::new(KEEP)
    };
    let teacher = Slow(ModelTeacher::new(&model), pause);
    let identity = TeacherIdentity::of_model("tiny", &model);
    CacheBuilder::open(folder, teacher, identity, &config).unwrap()
}

fn fill(folder: &Path, pause: Duration) {
    let mut builder = builder(folder, pause);
    for number in 0..BATCHES {
        builder.add(&batch(number)).unwrap();
    }
    builder.finish().unwrap();
}

fn shards(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "safetensors"))
        .count()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}

/// Not a test by itself: what the children of the tests below do.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        fill(Path::new(&folder), Duration::from_millis(20));
    }
}

#[test]
fn a_killed_builder_goes_on_and_leaves_the_files_of_an_undisturbed_one() {
    let (killed, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env(FOLDER, killed.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while shards(killed.path()) < 3 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the child writes no shards"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = CachedTeacher::open(killed.path()).unwrap().rows();
    let all = u64::from(BATCHES) * 23;
    assert!(before > 0 && before < all, "{before} rows of {all}");

    let mut builder = builder(killed.path(), Duration::ZERO);
    let added: usize = (0..BATCHES)
        .map(|number| builder.add(&batch(number)).unwrap())
        .sum();
    assert_eq!(added as u64, all - before);
    let mut cached = builder.finish().unwrap();
    cached.verify().unwrap();

    fill(undisturbed.path(), Duration::ZERO);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let (mut killed, undisturbed) = (files(killed.path()), files(undisturbed.path()));
    // What the kill left of a shard in the middle of being written, where it was.
    killed.retain(|name, _| undisturbed.contains_key(name));
    assert_eq!(names(&killed), names(&undisturbed));
    assert!(killed == undisturbed, "the files differ");
}

/// The shell keeps the child from being killed by the signal that comes with the error.
#[test]
fn a_full_disk_is_an_error_that_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = builder(folder.path(), Duration::ZERO);
    first.add(&batch(0)).unwrap();
    let mut kept = first.finish().unwrap();
    let before = files(folder.path());

    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact child"])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("shard-00001.safetensors"), "{said}");
    assert!(said.contains("FileTooLarge"), "{said}");
    assert_eq!(files(folder.path()), before);
    kept.signal(&batch(0), &Taps::hidden([1])).unwrap();
}
