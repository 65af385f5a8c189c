//! Processes that are killed or run out of disk while they train.
//!
//! The test binary starts itself again with only [`child`] to run.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const FOLDER: &str = "POTSTILL_TRAIN_TEST_FOLDER";
const STEPS: usize = 60;

fn long_run() -> Trainer<TinyLm, Parts> {
    evaluated(TrainerConfig {
        checkpoint_every: Some(1),
        evaluate_every: Some(7),
        ..config(STEPS)
    })
}

/// Not a test by itself: does nothing unless another test starts it with a folder.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        long_run().continue_in(folder).unwrap().run().unwrap();
    }
}

fn start(command: &mut Command, folder: &Path) -> Child {
    command
        .args([
            "--exact",
            "trainer::tests::interruption::child",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn saved_steps(root: &Path) -> usize {
    steps_in(&root.join("checkpoints"))
        .unwrap()
        .last()
        .map_or(0, |(step, _)| *step)
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_student() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let binary = std::env::current_exe().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut kills, mut pause) = (0, 7);
    while Instant::now() < deadline && kills < 6 && saved_steps(&root) < STEPS - 15 {
        let begin = saved_steps(&root);
        let mut child = start(&mut Command::new(&binary), &root);
        // Once it is under way, a pause that ends anywhere between two checkpoints.
        while saved_steps(&root) < begin + 3 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        pause = (pause * 37 + 11) % 41;
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(
        kills >= 2,
        "the machine was too slow to kill anything twice"
    );

    let mut continued = long_run().continue_in(&root).unwrap();
    continued.run().unwrap();
    let mut whole = long_run();
    whole.run().unwrap();
    assert_eq!(parameters(continued.model()), parameters(whole.model()));

    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps: Vec<u64> = lines
        .filter(|line| line["kind"] == "train")
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=STEPS as u64).collect::<Vec<_>>());
    for parent in ["checkpoints", "best"] {
        for path in durable::entries(&root.join(parent)).unwrap() {
            durable::verify(&path).unwrap();
        }
    }
}

/// A limit on the size of files acts as a full disk does: a write fails halfway.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let first = long_run().callback(|event: &Event<'_>| match event {
        Event::Step { step: 4, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    first.start_in(&root).unwrap().run().unwrap();
    let size = fs::metadata(root.join("checkpoints/step-4/optimizer.bpk"))
        .unwrap()
        .len();

    let mut shell = Command::new("sh");
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"",
        size / 512 - 1
    );
    let child = start(
        shell
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap()),
        &root,
    );
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains("optimizer.bpk"), "{stderr}");

    let continued = long_run().continue_in(&root).unwrap();
    assert_eq!(continued.finished_steps(), 4);
    let left = durable::entries(&root.join("checkpoints")).unwrap();
    assert!(
        left.iter().all(|path| durable::verify(path).is_ok()),
        "{left:?}"
    );
}
