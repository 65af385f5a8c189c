//! A pipeline that is killed (SIGKILL) at random points and started again until it ends.
//!
//! The run is a process of its own: this test binary, started once more for [`the_run`].
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use potstill_core::{ChatModel, ChatRequest, Message};
use potstill_data::{
    ChatJournal, Content, Error, Manifest, NearDuplicates, Outcome, Pipeline, PipelineOptions,
    Record, Stage, StageContext, StageError,
};
use potstill_testkit::ScriptedChat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const RECORDS: usize = 500;
/// Names the folder of the run to the process that is to be killed.
const FOLDER: &str = "POTSTILL_TEST_FOLDER";

/// Asks a model about every record.
struct Ask {
    name: &'static str,
    model: Arc<dyn ChatModel>,
}

impl Stage for Ask {
    fn name(&self) -> &str {
        self.name
    }
    fn configuration(&self) -> Value {
        json!({"model": self.model.name()})
    }
    fn is_costly(&self) -> bool {
        true
    }
    fn run(
        &self,
        records: Vec<Record>,
        context: &StageContext<'_>,
    ) -> Result<Vec<Outcome>, StageError> {
        let prompt = |record: &Record| format!("{}: {}", self.name, record.text());
        let requests: Vec<ChatRequest> = records
            .iter()
            .map(|record| ChatRequest::new(vec![Message::user(prompt(record))], 64))
            .map(|request| request.with_seed(context.seed()))
            .collect();
        let replies = self.model.chat(&requests);
        let outcome = |(record, reply): (Record, Result<potstill_core::ChatReply, _>)| match reply {
            Ok(reply) if reply.text.ends_with('7') => Outcome::rejected("ends in seven", record),
            Ok(reply) => Outcome::kept(Content::completion(record.text(), reply.text).into()),
            Err(_) => Outcome::failed("no answer", record),
        };
        Ok(records.into_iter().zip(replies).map(outcome).collect())
    }
}

/// What is killed. Without a folder it is an ordinary test that has nothing to do.
#[test]
fn the_run() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(format!("asked-{}.log", std::process::id())))
        .unwrap();
    let script = ScriptedChat::new("script", move |request: &ChatRequest| {
        let text = &request.messages[0].content;
        let line = format!("{} {}\n", request.seed.unwrap(), text.replace('\n', " "));
        (&log).write_all(line.as_bytes()).unwrap();
        let sum: u64 = text.bytes().map(u64::from).sum();
        format!("{} with seed {}", sum, request.seed.unwrap() % 100)
    });
    let model: Arc<dyn ChatModel> = Arc::new(
        ChatJournal::open(folder.join("answers.jsonl"), script)
            .unwrap()
            .with_requests_at_a_time(1),
    );
    // A third of the records say what another one says.
    let records = (0..RECORDS).map(|i| {
        let text = format!("a question about the number {}", i % (2 * RECORDS / 3));
        Ok::<Record, Error>(Content::Text(text).into())
    });
    let options = PipelineOptions {
        chunk_records: 40,
        seed: 11,
        clock: || Timestamp::UNIX_EPOCH,
        ..PipelineOptions::default()
    };
    let ask = |name| Ask {
        name,
        model: Arc::clone(&model),
    };
    Pipeline::new(options)
        .stage(ask("first"))
        .global_stage(NearDuplicates::new(Default::default()))
        .stage(ask("second"))
        .run(records, folder.join("run"))
        .unwrap();
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_run"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a process asked the model, in order.
fn asked(folder: &Path, process: u32) -> Vec<String> {
    let log = fs::read_to_string(folder.join(format!("asked-{process}.log"))).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

fn results(folder: &Path) -> [Vec<u8>; 2] {
    ["output.jsonl", "rejected.jsonl"].map(|name| fs::read(folder.join("run").join(name)).unwrap())
}

#[test]
fn a_killed_run_ends_as_an_undisturbed_one_and_asks_nothing_twice() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun = Instant::now();
    assert!(start(whole.path()).wait().unwrap().success());
    let undisturbed = begun.elapsed();

    let mut rng = ChaCha8Rng::seed_from_u64(Timestamp::now().as_microsecond() as u64);
    let mut answered = BTreeSet::new();
    let mut kills = 0;
    loop {
        let mut process = start(cut.path());
        std::thread::sleep(undisturbed.mul_f64(rng.random_range(0.02..0.3)));
        let ended = process.try_wait().unwrap();
        process.kill().unwrap();
        let status = process.wait().unwrap();
        let asked = asked(cut.path(), process.id());
        let repeated: Vec<&String> = asked
            .iter()
            .filter(|text| answered.contains(*text))
            .collect();
        assert!(
            repeated.is_empty(),
            "asked again after {kills} kills: {repeated:?}"
        );
        if ended.is_some() {
            assert!(status.success());
            break;
        }
        kills += 1;
        assert!(kills < 500, "it makes no progress");
        // The last one may have been killed before its answer was on disk.
        let known = asked.len().saturating_sub(1);
        answered.extend(asked.into_iter().take(known));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(kills > 2, "{kills} kills prove little");
    assert_eq!(results(cut.path()), results(whole.path()));

    let manifest: Manifest =
        serde_json::from_slice(&fs::read(cut.path().join("run/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest.input_records, RECORDS as u64);
    for stage in &manifest.stages {
        let aside: u64 = stage.rejected.values().chain(stage.failed.values()).sum();
        assert_eq!(stage.records_in, stage.records_kept + aside, "{stage:?}");
    }
    // Nothing that was being written when the process was killed is left.
    for folder in ["run", "run/chunks"] {
        for entry in fs::read_dir(cut.path().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with('.'), "{name:?}");
        }
    }
}
