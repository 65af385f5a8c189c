//! A device that has too little memory for a batch.

use super::*;
use crate::FailedStep;
use potstill_core::{Taps, TeacherError, TeacherSignal};

/// A teacher on a device with memory for a batch of a few rows.
struct Cramped {
    teacher: ModelTeacher<TinyLm>,
    rows: usize,
    panics: bool,
}

impl Teacher for Cramped {
    fn vocabulary(&self) -> &Vocabulary {
        self.teacher.vocabulary()
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let message = "CUDA out of memory. Tried to allocate 2.00 GiB";
        match batch.dims()[0] > self.rows {
            true if self.panics => panic!("{message}"),
            true => Err(TeacherError::Source(message.into())),
            false => self.teacher.signal(batch, taps),
        }
    }
}

fn cramped<O: Objective>(rows: usize, panics: bool, objective: O) -> Trainer<TinyLm, O> {
    let teacher = Cramped {
        teacher: teacher(),
        rows,
        panics,
    };
    Trainer::new(config(6), student(), objective, teacher, source()).unwrap()
}

#[test]
fn micro_batches_are_cut_in_two_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = {
        let mut trainer = trainer(config(6));
        trainer.run().unwrap();
        parameters(trainer.model())
    };
    for panics in [false, true] {
        let root = folder.path().join(format!("{panics}"));
        let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
        let (trainer, log) = listening(cramped(1, panics, objective));
        let mut trainer = trainer.start_in(&root).unwrap();
        trainer.run().unwrap();
        assert_eq!(log.borrow()[1], "halved 0 4");
        let halved = log
            .borrow()
            .iter()
            .filter(|line| line.starts_with("halved"))
            .count();
        assert_eq!(halved, 1, "{log:?}");
        let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["kind"], &first["step"]),
            (&"halved".into(), &0.into())
        );
        for ((path, halves), (_, whole)) in parameters(trainer.model()).iter().zip(&whole) {
            for (halves, whole) in halves.iter().zip(whole) {
                assert!((halves - whole).abs() < 1e-5, "{path}: {halves} {whole}");
            }
        }
    }
}

#[test]
fn a_run_that_goes_on_remembers_that_memory_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let stopped = cramped(1, true, ForwardKl::new()).callback(|event: &Event<'_>| match event {
        Event::Step { step: 3, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    stopped.start_in(&root).unwrap().run().unwrap();
    let (trainer, log) = {
        let objective = ForwardKl::new();
        let log = Log::default();
        let sink = Rc::clone(&log);
        let trainer = cramped(1, true, objective).callback(move |event: &Event<'_>| {
            if let Event::Halved { .. } = event {
                sink.borrow_mut().push("halved".into());
            }
            Flow::Continue
        });
        (trainer, log)
    };
    let mut continued = trainer.continue_in(&root).unwrap();
    continued.run().unwrap();
    assert!(log.borrow().is_empty(), "it had to find out again");

    let mut straight = cramped(1, true, ForwardKl::new());
    straight.run().unwrap();
    assert_eq!(parameters(continued.model()), parameters(straight.model()));
}

#[test]
fn what_is_still_too_large_in_halves_is_an_error_that_says_so() {
    let mut trainer = cramped(0, false, ForwardKl::new());
    let error = trainer.run().unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfMemory {
                step: 1,
                rows: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(trainer.finished_steps(), 0);
}

#[test]
fn rows_that_are_compared_with_each_other_stay_together() {
    use potstill_losses::{Relation, RelationMatchConfig};
    let relations = RelationMatchConfig::new(Relation::Distance, vec![(1, 1)])
        .init()
        .unwrap();
    let error = cramped(1, false, (ForwardKl::new(), relations))
        .run()
        .unwrap_err();
    assert!(
        matches!(error, Error::OutOfMemory { rows: 2, .. }),
        "{error:?}"
    );
}

/// Knows nothing about one token.
struct Poisoned(ModelTeacher<TinyLm>);

const POISON: u32 = VOCAB as u32 - 1;

impl Teacher for Poisoned {
    fn vocabulary(&self) -> &Vocabulary {
        self.0.vocabulary()
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let mut signal = self.0.signal(batch, taps)?;
        if batch.largest_token() == POISON
            && let potstill_core::Prediction::Deferred { hidden, .. } = &mut signal.prediction
        {
            *hidden = hidden.clone() * f32::NAN;
        }
        Ok(signal)
    }
}

#[test]
fn a_step_without_a_number_can_be_repeated_from_the_run_folder() {
    use potstill_core::TokenRow;
    let batches = [3, 5, POISON].map(|token| {
        let weights = [1.0, 0.5, 0.0, 2.0, 1.0];
        batch(&[
            TokenRow::document(&[1, 2, token, 4, 0], &weights),
            row(2, 3),
        ])
    });
    let source = FixedBatches::new(batches.to_vec());
    let config = TrainerConfig {
        accumulation: 1,
        ..config(6)
    };
    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(
        config,
        student(),
        ForwardKl::new(),
        Poisoned(teacher()),
        source,
    );
    let mut trainer = trainer.unwrap().start_in(folder.path()).unwrap();
    let error = trainer.run().unwrap_err();
    let Error::Kept {
        folder: kept,
        source,
        step: 3,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(
        matches!(**source, Error::NonFiniteLoss { step: 3, .. }),
        "{source:?}"
    );
    assert!(error.to_string().contains("failed/step-3"), "{error}");

    let failed = FailedStep::open(kept).unwrap();
    assert!(
        failed.reason()[0].contains("forward_kl is NaN"),
        "{:?}",
        failed.reason()
    );
    assert_eq!(failed.settings().step, 3);
    let like = Distiller {
        student: TinyLm::new(VOCAB, 6, 1, 99, &potstill_testkit::autodiff_device()),
        objective: ForwardKl::new(),
    };
    let again = failed.replay(&like, &mut Poisoned(teacher())).unwrap_err();
    assert_eq!(again.to_string(), source.to_string());
    // With another teacher the same step is fine: it is the teacher that knows nothing.
    let report = failed.replay(&like, &mut teacher()).unwrap();
    assert!(report.loss.is_finite());
    let model = failed.model(&like).unwrap();
    assert_eq!(parameters(&model), parameters(trainer.model()));
    let [batch] = failed.batches(&plain_device()).try_into().unwrap();
    assert_eq!(
        crate::batch_on_host::BatchOnHost::read(&batch).unwrap(),
        crate::batch_on_host::BatchOnHost::read(&batches[2]).unwrap()
    );
}

#[test]
fn a_damaged_failed_step_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("step-1");
    let settings = StepSettings {
        step: 1,
        learning_rate: 0.1,
        max_grad_norm: None,
        shared_vocabulary: VOCAB,
    };
    let error = Error::NoTerms { step: 1 };
    let record = crate::failed::Record::new(settings, 7, 1, Value::Null, &error);
    let model = Distiller {
        student: student(),
        objective: ForwardKl::new(),
    };
    crate::failed::keep(&place, &model, &[batch(&[row(1, 5)])], &record).unwrap();
    FailedStep::open(&place).unwrap();
    let path = place.join("batches.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 40, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(
            matches!(FailedStep::open(&place), Err(Error::Tensors { .. })),
            "{length}"
        );
    }
}
