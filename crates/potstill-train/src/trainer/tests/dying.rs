//! Every way in which a run can end, told by its folder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::{BatchFn, EndReason, Ended, Fate};

const FOLDER: &str = "POTSTILL_TRAIN_DYING_FOLDER";

fn ended(root: &Path) -> Ended {
    match Fate::of(root).unwrap() {
        Fate::Ended(ended) => ended,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_normal_end_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    assert_eq!(Fate::of(&root).unwrap(), Fate::NotStarted);
    let mut stopped = trainer(config(5)).callback(|event: &Event<'_>| match event {
        Event::Step { step: 2, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    stopped = stopped.start_in(&root).unwrap();
    stopped.run().unwrap();
    assert_eq!(
        Fate::of(&root).unwrap(),
        Fate::Running,
        "the trainer still has the folder"
    );
    drop(stopped);
    let end = ended(&root);
    assert_eq!(
        (end.reason, end.step, end.total_steps),
        (EndReason::Callback, 2, 5)
    );
    assert!(
        end.error.is_empty() && end.seconds > 0.0 && end.at.starts_with("20"),
        "{end:?}"
    );

    trainer(config(5))
        .continue_in(&root)
        .unwrap()
        .run()
        .unwrap();
    assert_eq!(
        (ended(&root).reason, ended(&root).step),
        (EndReason::Completed, 5)
    );
}

#[test]
fn an_error_is_told_with_its_causes() {
    let folder = tempfile::tempdir().unwrap();
    let source = BatchFn::new(|number, _: &TinyLm| match number {
        3 => Err("the disk is gone".into()),
        _ => Ok(Some(batch(&[row(1, 5)]))),
    });
    let config = TrainerConfig {
        accumulation: 1,
        ..config(5)
    };
    let trainer = Trainer::new(config, student(), ForwardKl::new(), teacher(), source).unwrap();
    let heard = Rc::new(RefCell::new(0));
    let sink = Rc::clone(&heard);
    let trainer = trainer.callback(move |event: &Event<'_>| {
        if let Event::Failed { step, .. } = event {
            *sink.borrow_mut() = *step;
        }
        Flow::Continue
    });
    trainer.start_in(folder.path()).unwrap().run().unwrap_err();
    let end = ended(folder.path());
    assert_eq!((end.reason, end.step), (EndReason::Failed, 3));
    assert_eq!(
        end.error,
        ["there is no batch for step 4", "the disk is gone"]
    );
    assert_eq!(*heard.borrow(), 3);
}

#[test]
fn a_panic_is_told_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = trainer(config(5)).callback(|event: &Event<'_>| {
        assert!(
            !matches!(event, Event::Step { step: 2, .. }),
            "a bug at step 2"
        );
        Flow::Continue
    });
    let mut trainer = trainer.start_in(folder.path()).unwrap();
    catch_unwind(AssertUnwindSafe(|| trainer.run())).unwrap_err();
    drop(trainer);
    let end = ended(folder.path());
    assert_eq!((end.reason, end.step), (EndReason::Panicked, 2));
    assert_eq!(end.error, ["a bug at step 2"]);
}

/// Not a test by itself: does nothing unless another test starts it with a folder.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let trainer = trainer(config(10_000_000)).start_in(folder).unwrap();
        trainer
            .callback(|_: &Event<'_>| Flow::Continue)
            .run()
            .unwrap();
    }
}

#[test]
fn a_run_that_was_killed_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "trainer::tests::dying::child", "--nocapture"])
        .env(FOLDER, &root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let lines =
        || fs::read_to_string(root.join("metrics.jsonl")).map_or(0, |log| log.lines().count());
    while lines() < 3 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(Fate::of(&root).unwrap(), Fate::Running);
    child.kill().unwrap();
    child.wait().unwrap();
    match Fate::of(&root).unwrap() {
        Fate::Killed {
            step,
            heard_of: Some(at),
        } => assert!(step >= 3 && at.ends_with('Z'), "{step} {at}"),
        other => panic!("{other:?}"),
    }
}
