//! A run that was interrupted ends as if it had not been.

use super::*;

fn frequent(steps: usize) -> TrainerConfig {
    TrainerConfig {
        evaluate_every: Some(3),
        checkpoint_every: Some(2),
        ..config(steps)
    }
}

/// A run in `root`, from its beginning to its end.
fn finish(config: TrainerConfig, root: &Path) {
    trainer(config).start_in(root).unwrap().run().unwrap();
}

fn stop_at(trainer: Trainer<TinyLm, Parts>, at: usize) -> Trainer<TinyLm, Parts> {
    trainer.callback(move |event: &Event<'_>| match event {
        Event::Step { step, .. } if *step == at => Flow::Stop,
        _ => Flow::Continue,
    })
}

/// The lines of the log without what depends on the clock.
fn metrics(root: &Path) -> Vec<Value> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("at");
        let values = line["values"].as_object_mut().unwrap();
        let is_of_the_clock = |name: &str| name.contains("second") || name.contains("memory");
        values.retain(|name, _| !is_of_the_clock(name));
        line
    });
    lines.collect()
}

#[test]
fn ten_steps_equal_five_and_a_restart_and_five_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    let mut whole = evaluated(frequent(10)).start_in(&straight).unwrap();
    let outcome = whole.run().unwrap();

    let mut first = stop_at(evaluated(frequent(10)), 5)
        .start_in(&broken)
        .unwrap();
    assert_eq!(first.run().unwrap().reason, StopReason::Callback);
    drop(first);
    let mut second = evaluated(frequent(10)).continue_in(&broken).unwrap();
    assert_eq!(second.finished_steps(), 5);
    assert_eq!(second.run().unwrap(), outcome);

    assert_eq!(parameters(second.model()), parameters(whole.model()));
    assert_eq!(metrics(&broken), metrics(&straight));
    let best =
        |trainer: &Trainer<TinyLm, Parts>| parameters(&trainer.best_student().unwrap().unwrap());
    assert_eq!(best(&second), best(&whole));
    for root in [straight, broken] {
        assert_eq!(steps_in(&root.join("best")).unwrap().len(), 1);
    }
}

/// A loader that breaks down.
struct Failing {
    inner: LoaderBatches,
    left: usize,
}

impl BatchSource<TinyLm> for Failing {
    fn next_batch(&mut self, student: &TinyLm) -> Result<Option<TokenBatch>, BoxError> {
        self.left = self.left.checked_sub(1).ok_or("the connection is gone")?;
        self.inner.next_batch(student)
    }
    fn state(&self) -> Result<Value, BoxError> {
        BatchSource::<TinyLm>::state(&self.inner)
    }
    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        BatchSource::<TinyLm>::restore(&mut self.inner, state)
    }
}

#[test]
fn steps_after_the_last_checkpoint_are_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    let mut whole = evaluated(frequent(9)).start_in(&straight).unwrap();
    whole.run().unwrap();

    let mut failing = evaluated(frequent(9)).start_in(&broken).unwrap();
    failing.source = Box::new(Failing {
        inner: source(),
        left: 2 * 5 + 1,
    });
    let error = failing.run().unwrap_err();
    assert!(matches!(error, Error::Source { step: 6, .. }), "{error}");
    assert_eq!(failing.finished_steps(), 5);
    drop(failing);

    let mut continued = evaluated(frequent(9)).continue_in(&broken).unwrap();
    assert_eq!(continued.finished_steps(), 4);
    continued.run().unwrap();
    assert_eq!(parameters(continued.model()), parameters(whole.model()));
    assert_eq!(metrics(&broken), metrics(&straight));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_the_run_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    let mut whole = evaluated(frequent(9)).start_in(&straight).unwrap();
    whole.run().unwrap();

    stop_at(evaluated(frequent(9)), 6)
        .start_in(&broken)
        .unwrap()
        .run()
        .unwrap();
    let path = broken.join("checkpoints/step-6/optimizer.bpk");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();

    let mut continued = evaluated(frequent(9)).continue_in(&broken).unwrap();
    assert_eq!(continued.finished_steps(), 4);
    continued.run().unwrap();
    assert_eq!(parameters(continued.model()), parameters(whole.model()));
    assert_eq!(metrics(&broken), metrics(&straight));
}

#[test]
fn only_the_last_checkpoints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let config = TrainerConfig {
        checkpoint_every: Some(1),
        keep_last: 3,
        ..config(6)
    };
    finish(config, &root);
    let steps = steps_in(&root.join("checkpoints")).unwrap();
    let steps: Vec<usize> = steps.into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [4, 5, 6]);
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let mut whole = trainer(config(7));
    whole.run().unwrap();
    finish(config(4), &root);
    let mut longer = trainer(config(7)).continue_in(&root).unwrap();
    longer.run().unwrap();
    assert_eq!(parameters(longer.model()), parameters(whole.model()));
}

#[test]
fn parameters_that_are_frozen_stay_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let frozen = |steps| {
        let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
        let embedding = burn::module::ParamGroup::from_predicate("embedding");
        let student = student().freeze_group(embedding);
        Trainer::new(config(steps), student, objective, teacher(), source()).unwrap()
    };
    let embedding = |trainer: &Trainer<TinyLm, Parts>| parameters(&trainer.student()).remove(0);
    let before = embedding(&frozen(1));
    assert_eq!(before.0, "embedding");
    frozen(2).start_in(folder.path()).unwrap().run().unwrap();
    let mut continued = frozen(4).continue_in(folder.path()).unwrap();
    continued.run().unwrap();
    assert_eq!(embedding(&continued), before);
}

#[test]
fn continuing_an_empty_folder_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(config(2))
        .continue_in(folder.path().join("new"))
        .unwrap();
    assert_eq!(trainer.run().unwrap().steps, 2);
}

#[test]
fn a_folder_with_a_run_is_not_started_again() {
    let folder = tempfile::tempdir().unwrap();
    finish(config(1), folder.path());
    let error = trainer(config(1)).start_in(folder.path()).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error}");
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = trainer(config(1)).start_in(folder.path()).unwrap();
    let error = trainer(config(1)).continue_in(folder.path()).unwrap_err();
    assert!(matches!(error, Error::RunLocked { .. }), "{error}");
    drop(first);
    trainer(config(1)).continue_in(folder.path()).unwrap();
}

#[test]
fn other_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    finish(config(1), folder.path());
    let changed = TrainerConfig {
        learning_rate: 0.5,
        seed: 9,
        ..config(1)
    };
    let message = trainer(changed)
        .continue_in(folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("other settings of learning_rate, seed"),
        "{message}"
    );
}

#[test]
fn other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finish(config(1), folder.path());
    let rows = vec![row(50, 6), row(51, 7)];
    let loader = Loader::new(rows, LoaderOptions::shuffled(2, 17)).unwrap();
    let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
    let source = LoaderBatches::new(loader, 0, &plain_device());
    let other = Trainer::new(config(1), student(), objective, teacher(), source).unwrap();
    let error = other.continue_in(folder.path()).unwrap_err();
    assert!(matches!(error, Error::SourceState { .. }), "{error}");
}

#[test]
fn a_student_of_another_shape_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finish(config(1), folder.path());
    let wider = TinyLm::new(VOCAB, 8, 1, 5, &plain_device());
    let objective = (ForwardKl::new(), Hint::new(8, 8, 1));
    let other = Trainer::new(config(1), wider, objective, teacher(), source()).unwrap();
    let message = other.continue_in(folder.path()).unwrap_err().to_string();
    assert!(message.contains("student.bpk"), "{message}");
}

#[test]
fn a_finished_run_that_is_continued_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let outcome = evaluated(frequent(5))
        .start_in(root)
        .unwrap()
        .run()
        .unwrap();
    let files = || {
        let folders = [root.join("checkpoints"), root.join("best")];
        let state = fs::read_to_string(root.join("checkpoints/step-5/state.json")).unwrap();
        let folders = folders.map(|folder| steps_in(&folder).unwrap());
        let run = fs::read_to_string(root.join("run.json")).unwrap();
        (folders, state, run, metrics(root))
    };
    let before = files();
    let (again, log) = listening(evaluated(frequent(5)).continue_in(root).unwrap());
    let mut again = again;
    assert_eq!(again.run().unwrap(), outcome);
    assert_eq!(*log.borrow(), ["started 5/5", "Completed"]);
    assert_eq!(files(), before);
}

#[test]
fn the_description_follows_a_run_that_is_made_longer() {
    let folder = tempfile::tempdir().unwrap();
    let description = || -> Value {
        let text = fs::read_to_string(folder.path().join("run.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    finish(config(2), folder.path());
    assert_eq!(description()["total_steps"], 2);
    trainer(config(3))
        .continue_in(folder.path())
        .unwrap()
        .run()
        .unwrap();
    assert_eq!(description()["total_steps"], 3);
    let error = trainer(config(1)).continue_in(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("step-3 already has 3 steps, more than the 1 asked for"),
        "{error}"
    );
}

#[test]
fn a_damaged_checkpoint_does_not_count_among_those_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let config = |steps, checkpoint_every| TrainerConfig {
        checkpoint_every,
        ..config(steps)
    };
    finish(config(4, Some(2)), root);
    fs::remove_file(root.join("checkpoints/step-4/student.bpk")).unwrap();
    let shorter = TrainerConfig {
        keep_last: 1,
        ..config(3, None)
    };
    trainer(shorter).continue_in(root).unwrap().run().unwrap();
    let kept = steps_in(&root.join("checkpoints")).unwrap();
    assert_eq!(kept, [(3, root.join("checkpoints/step-3"))]);
}

#[test]
fn a_run_of_which_no_checkpoint_is_whole_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    finish(config(2), root);
    let log = metrics(root);
    fs::remove_file(root.join("checkpoints/step-2/student.bpk")).unwrap();
    let error = trainer(config(2)).continue_in(root).unwrap_err();
    assert!(matches!(error, Error::NoWholeCheckpoint { .. }), "{error}");
    assert!(error.to_string().contains("step-2"), "{error}");
    assert_eq!(metrics(root), log);
}

#[test]
fn a_checkpoint_of_another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    finish(config(1), root);
    let place = root.join("checkpoints/step-1");
    let state = fs::read_to_string(place.join("state.json")).unwrap();
    durable::write_folder(&root.join("checkpoints/step-2"), |folder| {
        let state = state.replace("checkpoint/1", "checkpoint/9");
        durable::write_file(&folder.join("state.json"), state.as_bytes())
    })
    .unwrap();
    let message = trainer(config(2))
        .continue_in(root)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("state.json follows the schema \"potstill.checkpoint/9\""),
        "{message}"
    );
}
