//! A registry whose writers are killed (SIGKILL) at random points, and one with several writers.
//!
//! A writer is a process of its own: this test binary, started once more for [`the_writer`].
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use potstill_eval::{
    Better, Gates, Metric, NewVersion, Registry, RegistryError, Results, Verdict, VersionId,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names the folder of the registry to the process that is to be killed.
const FOLDER: &str = "POTSTILL_TEST_FOLDER";
/// Versions that it saves before it ends; more than anybody waits for, where it is to be killed.
const VERSIONS: &str = "POTSTILL_TEST_VERSIONS";

const GATES: &str =
    "schema = \"potstill.gates/1\"\n[[threshold]]\nmetric = \"accuracy\"\nmin = 0.5\n";

/// Saves versions, promotes, rolls back, retires and collects; says afterwards in `log` what it did.
#[test]
fn the_writer() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let versions: usize = std::env::var(VERSIONS).unwrap().parse().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
    let model = folder.join(format!("model-{}", std::process::id()));
    fs::create_dir(&model).unwrap();
    fs::write(model.join("tokenizer.json"), "{}").unwrap();
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut say = |line: String| log.write_all(line.as_bytes()).unwrap();
    let registry = Registry::open(folder.join("registry")).unwrap();
    let gates = Gates::parse(GATES).unwrap();
    for _ in 0..versions {
        let weights: Vec<u8> = (0..rng.random_range(1..50_000))
            .map(|_| rng.random())
            .collect();
        fs::write(model.join("model.safetensors"), weights).unwrap();
        let accuracy = Metric::of_value(Better::Higher, rng.random_range(0.3..1.0));
        let results = Results::new("student").with_metric("accuracy", accuracy);
        let id = registry
            .save(&NewVersion {
                results: Some(results),
                ..NewVersion::new("student", &model, "MIT")
            })
            .unwrap();
        say(format!("saved {}\n", id.version));
        match registry.promote(&id, "champion", &gates, &folder) {
            Ok(report) if report.verdict() == Verdict::Passed => {
                say(format!("moved {}\n", id.version));
            }
            // Four other versions may have come meanwhile, and this one have been retired.
            Ok(_) | Err(RegistryError::UnknownVersion { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if rng.random_bool(0.2)
            && let Ok(id) = registry.roll_back("student", "champion", "chance")
        {
            say(format!("moved {}\n", id.version));
        }
        let live = registry.versions("student").unwrap();
        for old in live.iter().rev().skip(4) {
            // What an alias points to stays, and another writer may have been faster.
            let _ = registry.retire(old);
        }
        if rng.random_bool(0.3) {
            registry.collect_garbage().unwrap();
        }
    }
}

fn start(folder: &Path, versions: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_writer"])
        .env(FOLDER, folder)
        .env(VERSIONS, versions.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The numbers behind a word of the log.
fn said(folder: &Path, word: &str) -> Vec<u64> {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let numbers = log
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    numbers.collect()
}

/// Every version that was ever there: its number, whether it is live or retired.
fn numbers(folder: &Path) -> Vec<u64> {
    let versions = folder.join("registry/models/student/versions");
    let Ok(entries) = fs::read_dir(versions) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<u64> = names
        .filter_map(|name| name.split('.').next().unwrap().parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_registry_whose_writer_is_killed_200_times_is_always_whole() {
    const KILLS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed.as_micros() as u64);
    let (mut saved, mut promoted, mut unsaid) = (0, 0, 0);
    for kill in 0..KILLS {
        let mut writer = start(folder.path(), usize::MAX);
        let before = said(folder.path(), "saved").len();
        let begun = Instant::now();
        // Every tenth is killed while it starts, the others once they work.
        while kill % 10 != 0
            && said(folder.path(), "saved").len() == before
            && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..40_000)));
        writer.kill().unwrap();
        writer.wait().unwrap();

        let registry = Registry::open(folder.path().join("registry")).unwrap();
        assert_eq!(registry.verify().unwrap(), [], "after kill {kill}");
        // What was said to be saved is there, and at most one more that nobody had time to say.
        let (there, said_saved) = (numbers(folder.path()), said(folder.path(), "saved"));
        let missing = said_saved.iter().find(|number| !there.contains(number));
        assert_eq!(missing, None, "after kill {kill}");
        assert_eq!(there, (1..=there.len() as u64).collect::<Vec<_>>());
        unsaid = there.len() - said_saved.len();
        assert!(unsaid <= kill + 1);
        if let Some(id) = registry.resolve("student", "champion").unwrap() {
            let out = folder.path().join("out");
            registry.check_out(&id, &out).unwrap();
            fs::remove_dir_all(out).unwrap();
        }
        saved = there.len();
        promoted = registry.moves("student").unwrap().len();
    }
    println!("{KILLS} kills: {saved} versions, {unsaid} of them unannounced, {promoted} moves");
    assert!(
        saved > KILLS && promoted > KILLS / 4,
        "{saved} versions, {promoted} moves"
    );

    // What the kills left behind can be removed, and then only what is needed is there.
    let registry = Registry::open(folder.path().join("registry")).unwrap();
    registry.collect_garbage().unwrap();
    assert_eq!(registry.verify().unwrap(), []);
    assert_eq!(registry.collect_garbage().unwrap().files, 0);
}

#[test]
fn writers_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut writers: Vec<Child> = (0..3).map(|_| start(folder.path(), 20)).collect();
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }
    let registry = Registry::open(folder.path().join("registry")).unwrap();
    assert_eq!(registry.verify().unwrap(), []);
    let mut saved = said(folder.path(), "saved");
    saved.sort_unstable();
    assert_eq!(
        saved,
        (1..=60).collect::<Vec<_>>(),
        "no number twice, none left out"
    );
    let champion: Option<VersionId> = registry.resolve("student", "champion").unwrap();
    let last = registry
        .moves("student")
        .unwrap()
        .last()
        .map(|step| step.version);
    assert_eq!(champion.map(|id| id.version), last);
}
