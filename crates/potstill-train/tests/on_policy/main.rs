//! On-policy runs: what they are made of, and that they continue bit for bit.

#![allow(clippy::unwrap_used, reason = "tests")]

mod endpoint;
mod together;

use std::fmt::Debug;
use std::path::Path;

use burn::module::Module;
use burn::prelude::Device;
use burn::tensor::activation::log_softmax;
use potstill_core::{CausalLm, GenerateOptions, Objective, TokenBatch, TokenRow};
use potstill_data::{Loader, LoaderOptions};
use potstill_losses::{Divergence, SoftTarget};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{TableLm, plain_device, values};
use potstill_train::{
    AdaptiveShare, AdaptiveShareOptions, BatchSource, Event, Flow, FreshShare, HealthLimits,
    LoaderBatches, Metrics, Mixture, ReplayOptions, ReplayedRollouts, Rollouts, StudentShare,
    Trainer, TrainerConfig, Watch,
};
use serde_json::Value;

const VOCAB: usize = 7;
const STOP: u32 = 0;

fn student(seed: u64) -> TableLm {
    TableLm::new(VOCAB, 1, 0.5, seed, &plain_device())
}

fn loader(epochs: Option<u64>) -> Loader {
    let rows: Vec<TokenRow> = (1..6)
        .flat_map(|a| (1..5).map(move |b| [a, b, (a + b) % 6 + 1, b, STOP]))
        .map(|tokens| TokenRow::document(&tokens, &[0.0, 0.0, 1.0, 1.0, 1.0]))
        .collect();
    let options = LoaderOptions {
        epochs,
        ..LoaderOptions::shuffled(5, 3)
    };
    Loader::new(rows, options).unwrap()
}

fn options() -> GenerateOptions {
    GenerateOptions {
        stop_tokens: vec![STOP],
        seed: 11,
        ..GenerateOptions::greedy(6)
    }
}

fn rollouts() -> Rollouts<TableLm> {
    Rollouts::new(loader(None), options(), 0, &plain_device()).unwrap()
}

fn half() -> StudentShare {
    StudentShare::constant(0.5).unwrap()
}

fn windowed() -> Rollouts<TableLm> {
    let mixture = Mixture::PerSample(StudentShare::linear(0.2, 0.9, 20).unwrap());
    let limits = HealthLimits {
        rollouts: 16,
        ..HealthLimits::default()
    };
    rollouts()
        .mixed(mixture)
        .and_then(|source| source.refreshed_every(4))
        .unwrap()
        .watched(limits)
}

fn replayed(share: &AdaptiveShare) -> ReplayedRollouts<TableLm> {
    let replay = ReplayOptions {
        capacity: 12,
        fresh: FreshShare::Decreasing(40),
    };
    let (loader, device) = (loader(None), plain_device());
    ReplayedRollouts::new(loader, options(), 0, &device, share.clone(), replay).unwrap()
}

type Run = Trainer<TableLm, SoftTarget>;

fn trainer(source: impl BatchSource<TableLm> + 'static, stop: Option<usize>) -> Run {
    let config = TrainerConfig {
        learning_rate: 0.05,
        evaluate_every: Some(3),
        checkpoint_every: Some(5),
        ..TrainerConfig::steps(30)
    };
    let teacher = ModelTeacher::new(&TableLm::new(VOCAB, 2, 1.5, 4, &plain_device()));
    let objective = SoftTarget::new(Divergence::ReverseKl);
    Trainer::new(config, student(5), objective, teacher, source)
        .unwrap()
        // Rises at first, so that the share of the student's own text does.
        .evaluation(Watch::lowest("loss"), |student: &TableLm| {
            let entropy: f64 = student
                .probabilities()
                .concat()
                .iter()
                .map(|q| -q * q.ln())
                .sum();
            Ok(Metrics::from([("loss".into(), 5.0 * entropy)]))
        })
        .callback(move |event: &Event<'_>| match event {
            Event::Step { step, .. } if Some(*step) == stop => Flow::Stop,
            _ => Flow::Continue,
        })
}

/// The log without what depends on the clock.
fn log(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("at");
            let values = line["values"].as_object_mut().unwrap();
            values.retain(|name, _| !name.contains("second") && !name.contains("memory"));
            line
        })
        .collect()
}

fn observed(log: &[Value], name: &str) -> Vec<f64> {
    let values = log.iter().filter(|line| line["kind"] == "train");
    values
        .filter_map(|line| line["values"][format!("source/{name}")].as_f64())
        .collect()
}

/// The log of 30 steps at once; that of a run that was stopped after `stop` and continued is the same,
/// and so is what `shown` shows of the student.
#[track_caller]
fn continues_exactly<S: CausalLm, O: Objective, T: PartialEq + Debug>(
    run: impl Fn(Option<usize>) -> Trainer<S, O>,
    shown: impl Fn(&S) -> T,
    stop: usize,
) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (whole, halves) = (folder.path().join("whole"), folder.path().join("halves"));
    let mut at_once = run(None).start_in(&whole).unwrap();
    at_once.run().unwrap();
    let mut begun = run(Some(stop)).start_in(&halves).unwrap();
    assert_eq!(begun.run().unwrap().steps, stop);
    drop(begun);
    let mut continued = run(None).continue_in(&halves).unwrap();
    assert_eq!(continued.run().unwrap().steps, 30);
    assert_eq!(shown(&continued.student()), shown(&at_once.student()));
    assert_eq!(log(&halves), log(&whole));
    log(&whole)
}

#[test]
fn a_run_with_replay_and_an_adaptive_share_continues_bit_for_bit() {
    let run = |stop| {
        let options = AdaptiveShareOptions {
            increment: 0.25,
            ..AdaptiveShareOptions::new("loss")
        };
        let share = AdaptiveShare::new(options).unwrap();
        trainer(replayed(&share), stop).callback(share)
    };
    for stop in [14, 23] {
        let log = continues_exactly(run, TableLm::probabilities, stop);
        let share = observed(&log, "adaptive_share");
        assert_eq!(share[0], 0.0);
        assert!(share.windows(2).all(|pair| pair[0] <= pair[1]) && share[13] >= 0.5);
        assert_eq!(observed(&log, "buffered")[29], 12.0);
        // Data, new and old rollouts all had their turn before and after the stop.
        let staleness = observed(&log, "staleness");
        assert!(staleness.contains(&0.0) && staleness.iter().any(|&old| old > 2.0));
        assert!(observed(&log, "student_share").contains(&0.0));
    }
}

#[test]
fn a_run_that_stops_between_two_refreshes_continues_bit_for_bit() {
    for stop in [4, 6, 13] {
        let run = |stop| trainer(windowed(), stop);
        let log = continues_exactly(run, TableLm::probabilities, stop);
        let staleness = observed(&log, "staleness");
        assert!(staleness.contains(&3.0) && staleness.contains(&0.0));
        let share = observed(&log, "student_share");
        assert!(share[..10].iter().sum::<f64>() < share[20..].iter().sum::<f64>());
    }
}

#[test]
fn the_log_says_how_the_rollouts_are() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("run");
    trainer(rollouts(), Some(3))
        .start_in(&root)
        .unwrap()
        .run()
        .unwrap();
    let log = log(&root);
    assert_eq!(observed(&log, "student_share"), [1.0; 3]);
    assert_eq!(observed(&log, "length_explosion"), [0.0; 3]);
    for (name, low, high) in [
        ("rollout_length", 1.0, 6.0),
        ("truncated", 0.0, 1.0),
        ("entropy", 0.5, 3.0),
        ("repetition", 0.0, 0.5),
    ] {
        let found = observed(&log, name);
        assert!(
            found.len() == 3 && found.iter().all(|v| (low..=high).contains(v)),
            "{name} {found:?}"
        );
    }
}

fn next(source: &mut impl BatchSource<TableLm>, student: &TableLm) -> TokenBatch {
    source.next_batch(student).unwrap().unwrap()
}

/// Log-probability of each target that counts.
fn scored(student: &TableLm, batch: &TokenBatch) -> Vec<f64> {
    let log_q = log_softmax(student.row_logits(batch), 1);
    values(&log_q.gather(1, batch.row_targets().unsqueeze_dim::<2>(1)))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn only_what_the_student_wrote_counts_up_to_its_first_stop_token() {
    let mut source = rollouts();
    let student = student(1);
    for _ in 0..8 {
        let batch = next(&mut source, &student);
        let drawn = batch.drawn.clone().unwrap();
        close(&values(&drawn.policy), &scored(&student, &batch));
        assert_eq!(values(&drawn.policy), values(&drawn.sampler));
        assert_eq!(batch.sequences().len(), 5);
        let targets: Vec<i64> = batch.row_targets().into_data().iter::<i64>().collect();
        let mut begin = 0;
        for &length in batch.sequences() {
            let tokens = &targets[begin..begin + length];
            let stops = tokens.iter().filter(|token| **token == i64::from(STOP));
            assert!(stops.count() == usize::from(tokens.ends_with(&[i64::from(STOP)])));
            assert!(length == 6 || tokens.ends_with(&[i64::from(STOP)]));
            begin += length;
        }
    }
}

#[test]
fn between_refreshes_the_policy_is_the_old_one() {
    let mut source = rollouts().refreshed_every(3).unwrap();
    let (old, new) = (student(1), student(2));
    let mut batches = vec![next(&mut source, &old)];
    batches.extend((0..2).map(|_| next(&mut source, &new)));
    for batch in &batches {
        close(
            &values(&batch.drawn.as_ref().unwrap().policy),
            &scored(&old, batch),
        );
    }
    let observations = source.observations();
    assert!(
        observations.contains(&("staleness".to_owned(), 1.0)),
        "{observations:?}"
    );
    let batch = next(&mut source, &new);
    close(
        &values(&batch.drawn.as_ref().unwrap().policy),
        &scored(&new, &batch),
    );
}

#[test]
fn without_a_share_of_the_student_the_data_are_as_they_were() {
    let none = Mixture::PerSample(StudentShare::constant(0.0).unwrap());
    let mut source = rollouts().mixed(none).unwrap();
    let mut plain = LoaderBatches::new(loader(None), 0, &plain_device());
    for _ in 0..6 {
        let (mixed, data) = (
            next(&mut source, &student(1)),
            next(&mut plain, &student(1)),
        );
        assert_eq!(mixed.tokens.into_data(), data.tokens.into_data());
        assert_eq!(mixed.targets.into_data(), data.targets.into_data());
        assert_eq!(
            mixed.rows.indices.into_data(),
            data.rows.indices.into_data()
        );
        assert!(mixed.drawn.is_none());
    }
}

#[test]
fn a_mixture_has_both_in_a_batch_or_one_of_them() {
    let mut per_sample = rollouts().mixed(Mixture::PerSample(half())).unwrap();
    let mut per_batch = rollouts().mixed(Mixture::PerBatch(half())).unwrap();
    let shares = |source: &mut Rollouts<TableLm>| -> Vec<f64> {
        (0..40)
            .map(|_| {
                next(source, &student(1));
                let observations = BatchSource::<TableLm>::observations(source);
                let share = observations
                    .iter()
                    .find(|(name, _)| name == "student_share");
                share.unwrap().1
            })
            .collect()
    };
    assert!(
        shares(&mut per_sample)
            .iter()
            .any(|share| (0.1..0.9).contains(share))
    );
    let whole = shares(&mut per_batch);
    assert!(whole.contains(&0.0) && whole.contains(&1.0));
    assert!(whole.iter().all(|share| *share == 0.0 || *share == 1.0));
}

#[test]
fn the_run_ends_with_the_data() {
    let mut source = Rollouts::new(loader(Some(1)), options(), 0, &plain_device())
        .and_then(|source| source.refreshed_every(3))
        .unwrap();
    let mut batches = 0;
    while source.next_batch(&student(1)).unwrap().is_some() {
        batches += 1;
    }
    assert_eq!(
        Some(batches),
        BatchSource::<TableLm>::batches_per_epoch(&source)
    );
}

#[test]
fn somebody_else_may_write() {
    let mut source = rollouts().written_by(|student: &TableLm, prompts, options| {
        assert!(student.num_params() > 0 && options.seed != 11);
        let finish = potstill_core::FinishReason::Length;
        let draw = potstill_core::Draw {
            policy: -1.0,
            sampler: -0.5,
        };
        let write = |prompt: &Vec<u32>| potstill_core::Rollout {
            prompt: prompt.clone(),
            // Goes on behind the stop token.
            tokens: vec![3, STOP, 4],
            draws: vec![draw; 3],
            finish,
        };
        Ok(prompts.iter().map(write).collect())
    });
    let batch = next(&mut source, &student(1));
    assert_eq!(batch.rows.count(), 10);
    assert_eq!(values(&batch.drawn.unwrap().sampler), [-0.5; 10]);

    let mut short = rollouts().written_by(|_, _, _| Ok(Vec::new()));
    let error = short.next_batch(&student(1)).unwrap_err().to_string();
    assert_eq!(error, "5 prompts were continued by 0 rollouts");
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let device: Device = plain_device();
    let prompts = vec![TokenRow::document(&[1, 2, 3], &[0.0; 3])];
    let loader = || Loader::new(prompts.clone(), LoaderOptions::in_order(1)).unwrap();
    let source = || Rollouts::<TableLm>::new(loader(), options(), 0, &device);
    let refused = source().unwrap().mixed(Mixture::PerBatch(half()));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "share of the student is below 1, it must be 1 where a document of the data has no token that \
         counts"
    );
    assert!(source().unwrap().mixed(Mixture::Student).is_ok());
    assert!(source().unwrap().refreshed_every(0).is_err());
    let none = Rollouts::<TableLm>::new(loader(), GenerateOptions::greedy(0), 0, &device);
    assert!(none.is_err());
    let long = Rollouts::<TableLm>::new(loader(), GenerateOptions::greedy(9000), 0, &device);
    let demands = BatchSource::<TableLm>::demands(&long.unwrap()).unwrap();
    assert_eq!(demands.longest_segment, 9003);
}

#[test]
fn a_state_of_other_settings_is_refused() {
    let mut source = windowed();
    next(&mut source, &student(1));
    let state = BatchSource::<TableLm>::state(&source).unwrap();
    let mut other = rollouts().refreshed_every(4).unwrap();
    let error = BatchSource::<TableLm>::restore(&mut other, &state).unwrap_err();
    assert!(
        error.to_string().contains("continue other prompts"),
        "{error}"
    );
}
