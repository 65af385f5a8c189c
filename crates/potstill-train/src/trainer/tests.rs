//! The loop: evaluation, early stop, checkpoints, resuming bit for bit.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::run_folder::steps_in;
use crate::testing::{ForwardKl, Hint, VOCAB, batch, parameters, row};
use crate::{BoxError, EarlyStop, FixedBatches, Length, LoaderBatches, Metrics, Schedule, Watch};
use potstill_core::{TokenizerIdentity, Vocabulary, VocabularyMismatch};
use potstill_data::{Loader, LoaderOptions};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{TinyLm, plain_device};

mod continuing;
mod dying;
mod interruption;
mod observing;
mod short_of_memory;

type Parts = (ForwardKl, Hint);
type Log = Rc<RefCell<Vec<String>>>;

fn student() -> TinyLm {
    TinyLm::new(VOCAB, 6, 1, 5, &plain_device())
}

fn teacher() -> ModelTeacher<TinyLm> {
    ModelTeacher::new(&TinyLm::new(VOCAB, 8, 2, 3, &plain_device()))
}

fn source() -> LoaderBatches {
    let rows: Vec<_> = (0..7).map(|i| row(i, 5 + 2 * i)).collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(2, 17)).unwrap();
    LoaderBatches::new(loader, 0, &plain_device())
}

fn config(steps: usize) -> TrainerConfig {
    TrainerConfig {
        learning_rate: 0.01,
        accumulation: 2,
        schedule: Schedule {
            warmup: 3,
            ..Schedule::default()
        },
        ..TrainerConfig::steps(steps)
    }
}

fn trainer(config: TrainerConfig) -> Trainer<TinyLm, Parts> {
    let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
    Trainer::new(config, student(), objective, teacher(), source()).unwrap()
}

/// Forward KL on one batch, as an evaluation.
fn held_out_kl(student: &TinyLm) -> f64 {
    use burn::tensor::activation::log_softmax;
    let batch = batch(&[row(40, 20)]);
    let log_p = log_softmax(teacher().model().row_logits(&batch), 1);
    let log_q = log_softmax(student.row_logits(&batch), 1);
    (log_p.clone().exp() * (log_p - log_q))
        .sum_dim(1)
        .mean()
        .into_scalar::<f64>()
}

fn evaluated(config: TrainerConfig) -> Trainer<TinyLm, Parts> {
    trainer(config).evaluation(Watch::lowest("kl"), |student| {
        Ok(Metrics::from([("kl".into(), held_out_kl(student))]))
    })
}

fn listening(trainer: Trainer<TinyLm, Parts>) -> (Trainer<TinyLm, Parts>, Log) {
    let log = Log::default();
    let sink = Rc::clone(&log);
    let trainer = trainer.callback(move |event: &Event<'_>| {
        sink.borrow_mut().push(match event {
            Event::Started { step, total_steps } => format!("started {step}/{total_steps}"),
            Event::Step { step, .. } => format!("step {step}"),
            Event::Evaluated { step, is_best, .. } => format!("evaluated {step} {is_best}"),
            Event::Sampled { step, samples } => format!("sampled {step} {}", samples.len()),
            Event::Halved {
                step,
                micro_batches,
            } => format!("halved {step} {micro_batches}"),
            Event::Saved { step, .. } => format!("saved {step}"),
            Event::Failed { step, .. } => format!("failed {step}"),
            Event::Finished(outcome) => format!("{:?}", outcome.reason),
        });
        Flow::Continue
    });
    (trainer, log)
}

#[test]
fn the_student_learns_and_its_best_version_is_kept() {
    let mut trainer = evaluated(TrainerConfig {
        evaluate_every: Some(10),
        ..config(60)
    });
    let before = held_out_kl(&trainer.student());
    let outcome = trainer.run().unwrap();
    assert_eq!((outcome.steps, outcome.reason), (60, StopReason::Completed));
    let best = outcome.best.unwrap();
    let kept = trainer.best_student().unwrap().unwrap();
    assert_eq!(held_out_kl(&kept), best.value);
    assert!(best.value < 0.5 * before, "{best:?} {before}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut trainer = trainer(config(8));
        trainer.run().unwrap();
        parameters(trainer.model())
    };
    assert_eq!(run(), run());
}

#[test]
fn events_come_in_the_order_in_which_things_happen() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainerConfig {
        evaluate_every: Some(2),
        checkpoint_every: Some(2),
        ..config(3)
    };
    let (trainer, log) = listening(evaluated(config));
    trainer
        .start_in(folder.path().join("run"))
        .unwrap()
        .run()
        .unwrap();
    let events = [
        "started 0/3",
        "evaluated 0 true",
        "step 1",
        "step 2",
        "evaluated 2 true",
        "saved 2",
        "step 3",
        "evaluated 3 true",
        "saved 3",
        "Completed",
    ];
    assert_eq!(*log.borrow(), events);
}

#[test]
fn a_callback_can_stop_and_the_run_can_go_on() {
    let mut whole = trainer(config(6));
    whole.run().unwrap();
    let mut halting = trainer(config(6)).callback(|event: &Event<'_>| match event {
        Event::Step { step: 2, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    let outcome = halting.run().unwrap();
    assert_eq!((outcome.steps, outcome.reason), (2, StopReason::Callback));
    assert_eq!(halting.run().unwrap().reason, StopReason::Completed);
    assert_eq!(parameters(halting.model()), parameters(whole.model()));
}

#[test]
fn evaluations_that_no_longer_improve_end_the_run() {
    let config = TrainerConfig {
        evaluate_every: Some(1),
        early_stop: Some(EarlyStop {
            patience: 3,
            min_delta: 0.0,
        }),
        ..config(50)
    };
    let mut values = [5.0, 4.0, 3.0, 3.5, f64::NAN, 3.0].into_iter();
    let mut trainer = trainer(config).evaluation(Watch::lowest("loss"), move |_| {
        Ok(Metrics::from([("loss".into(), values.next().unwrap())]))
    });
    let outcome = trainer.run().unwrap();
    assert_eq!((outcome.steps, outcome.reason), (5, StopReason::EarlyStop));
    assert_eq!(
        outcome.best,
        Some(crate::Best {
            step: 2,
            value: 3.0
        })
    );
}

#[test]
fn an_epoch_is_as_long_as_the_source_says() {
    let config = TrainerConfig {
        length: Length::Epochs(3),
        ..config(1)
    };
    assert_eq!(
        trainer(config.clone()).total_steps(),
        6,
        "4 batches an epoch, 2 a step"
    );
    let source = crate::BatchFn::new(|_, _: &TinyLm| Ok(None));
    let error = Trainer::new(config, student(), ForwardKl::new(), teacher(), source).unwrap_err();
    assert!(error.to_string().contains("length.epochs is 3"), "{error}");
}

#[test]
fn a_source_that_ends_ends_the_run_with_what_is_left() {
    let source =
        crate::BatchFn::new(|index, _: &TinyLm| Ok((index < 3).then(|| batch(&[row(1, 6)]))));
    let mut trainer =
        Trainer::new(config(50), student(), ForwardKl::new(), teacher(), source).unwrap();
    let outcome = trainer.run().unwrap();
    assert_eq!((outcome.steps, outcome.reason), (2, StopReason::Exhausted));
}

#[test]
fn a_source_without_a_batch_is_an_error() {
    let source = crate::BatchFn::new(|_, _: &TinyLm| Ok(None));
    let mut trainer =
        Trainer::new(config(5), student(), ForwardKl::new(), teacher(), source).unwrap();
    assert!(matches!(trainer.run(), Err(Error::NoBatches)));
}

#[test]
fn a_source_sees_the_student_that_is_in_training() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&seen);
    let source = crate::BatchFn::new(move |_, student: &TinyLm| {
        sink.borrow_mut().push(held_out_kl(&student.valid()));
        Ok(Some(batch(&[row(1, 6)])))
    });
    let config = TrainerConfig {
        accumulation: 1,
        ..config(3)
    };
    Trainer::new(config, student(), ForwardKl::new(), teacher(), source)
        .unwrap()
        .run()
        .unwrap();
    let seen = seen.borrow();
    assert_eq!(seen.len(), 3);
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
}

#[test]
fn vocabularies_that_cannot_be_compared_are_refused_with_both_sizes() {
    let small = TinyLm::new(VOCAB - 2, 6, 1, 5, &plain_device());
    let fixed = || FixedBatches::new(vec![batch(&[row(1, 6)])]);
    let error = Trainer::new(
        config(1),
        small.clone(),
        ForwardKl::new(),
        teacher(),
        fixed(),
    );
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        Error::Vocabulary(VocabularyMismatch::DifferentSizes {
            student: 11,
            teacher: 13
        })
    ));
    assert!(
        error.to_string().contains("11") && error.to_string().contains("13"),
        "{error}"
    );
}

#[test]
fn padded_heads_are_compared_on_their_common_tokenizer() {
    let tokenizer = TokenizerIdentity {
        size: 10,
        fingerprint: "abc".into(),
    };
    let student = TinyLm::new(11, 6, 1, 5, &plain_device());
    let vocabulary = Vocabulary {
        head_size: 11,
        tokenizer: Some(tokenizer.clone()),
    };
    let source = FixedBatches::new(vec![batch(&[potstill_core::TokenRow::document(
        &[1, 9, 3, 4],
        &[1.0; 4],
    )])]);
    let mut trainer = Trainer::with_vocabulary(
        config(3),
        student,
        &vocabulary,
        ForwardKl::new(),
        teacher().with_tokenizer(tokenizer),
        source,
    )
    .unwrap();
    trainer.run().unwrap();
}

#[test]
fn a_layer_that_the_student_lacks_is_named() {
    let objective = Hint::new(6, 8, 4);
    let error = Trainer::new(config(1), student(), objective, teacher(), source()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the objective asks for the student's hidden state 4, the last one is 1"
    );
}

#[test]
fn a_frozen_student_with_nothing_else_to_train_is_refused() {
    let error = Trainer::new(
        config(1),
        student().freeze(),
        ForwardKl::new(),
        teacher(),
        source(),
    );
    assert!(matches!(error, Err(Error::NothingToTrain)));
}

#[test]
fn a_metric_that_is_not_reported_is_an_error_that_lists_those_that_are() {
    let mut trainer = trainer(config(2)).evaluation(Watch::lowest("kll"), |_| {
        Ok(Metrics::from([
            ("kl".into(), 1.0),
            ("perplexity".into(), 2.0),
        ]))
    });
    let message = trainer.run().unwrap_err().to_string();
    assert_eq!(
        message,
        "the evaluation reports no kll, only kl, perplexity"
    );
}

#[test]
fn an_early_stop_without_an_evaluation_is_refused() {
    let early_stop = Some(EarlyStop {
        patience: 1,
        min_delta: 0.0,
    });
    let error = trainer(TrainerConfig {
        early_stop,
        ..config(2)
    })
    .run()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "early_stop is set, it must be left out without an evaluation"
    );
}

#[test]
fn the_run_folder_describes_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    let trainer = evaluated(TrainerConfig {
        log_every: 2,
        ..config(5)
    });
    let mut trainer = trainer
        .note("data", "sums.jsonl")
        .unwrap()
        .start_in(&root)
        .unwrap();
    trainer.run().unwrap();

    let description: Value =
        serde_json::from_str(&fs::read_to_string(root.join("run.json")).unwrap()).unwrap();
    assert_eq!(description["schema"], "potstill.run/1");
    assert_eq!(description["notes"]["data"], "sums.jsonl");
    let config: TrainerConfig = serde_json::from_value(description["config"].clone()).unwrap();
    assert_eq!(config.learning_rate, 0.01);

    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<(u64, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["step"].as_u64().unwrap(),
                line["kind"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (0, "evaluation"),
            (2, "train"),
            (4, "train"),
            (5, "train"),
            (5, "evaluation")
        ]
    );
    assert!(lines[1]["values"]["loss/forward_kl"].is_number());
    let kept: Vec<_> = steps_in(&root.join("best")).unwrap();
    assert_eq!(kept.len(), 1);
}

#[test]
fn data_that_a_model_cannot_read_is_refused_before_training() {
    let refused = |student, teacher, source| {
        let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
        let trainer: Result<Trainer<TinyLm, Parts>, Error> =
            Trainer::new(config(1), student, objective, teacher, source);
        trainer.unwrap_err().to_string()
    };
    let short_teacher = TinyLm::new(VOCAB, 8, 2, 3, &plain_device()).with_max_positions(9);
    assert_eq!(
        refused(student().with_max_positions(4), teacher(), source()),
        "the data holds a sequence of 16 tokens, but the student has 4 positions; pack it into rows of \
         at most 4"
    );
    assert!(
        refused(student(), ModelTeacher::new(&short_teacher), source())
            .contains("16 tokens, but the teacher has 9 positions")
    );
    let loader = Loader::new(vec![row(1, 5)], LoaderOptions::in_order(1)).unwrap();
    let padded = LoaderBatches::new(loader, VOCAB as u32, &plain_device());
    assert!(refused(student(), teacher(), padded).contains("token 13"));
}

#[test]
fn what_is_already_measured_is_not_measured_again() {
    let count = Rc::new(RefCell::new(0));
    let calls = Rc::clone(&count);
    let (trainer, log) = listening(trainer(config(2)));
    let mut trainer = trainer
        .evaluation(Watch::lowest("kl"), move |_| {
            *calls.borrow_mut() += 1;
            Ok(Metrics::from([("kl".into(), 2.0)]))
        })
        .measured_before(Metrics::from([("kl".into(), 1.0)]));
    let outcome = trainer.run().unwrap();
    assert_eq!(
        outcome.best,
        Some(crate::Best {
            step: 0,
            value: 1.0
        })
    );
    assert_eq!(log.borrow()[1], "evaluated 0 true");
    assert_eq!(*count.borrow(), 1, "after the last step");
}
