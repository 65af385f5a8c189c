//! What each way of distilling leads to where the answer can be computed.
//!
//! The teacher is a Markov chain of order 2 over five tokens, the student one of order 1, so it cannot
//! learn everything, and what it gives up is the question. Divergences and entropies of whole
//! sequences are exact, by dynamic programming over the last two tokens; training is not: it samples,
//! through the real trainer and the real sources.
//!
//! Five teachers, the same five for each way. Only orderings that hold in exact computations over
//! forty teachers are asserted.

#![allow(clippy::unwrap_used, reason = "tests")]

use burn::prelude::Device;
use potstill_core::{Generate, GenerateOptions, Objective, TokenRow};
use potstill_data::{Loader, LoaderOptions};
use potstill_losses::{Divergence, SequenceReverseKlConfig, SoftTarget};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{TableLm, plain_device};
use potstill_train::{
    AdamWConfig, BatchSource, Decay, LoaderBatches, Rollouts, Schedule, Trainer, TrainerConfig,
};

const VOCAB: usize = 5;
/// Tokens behind a prompt of two.
const NEW: usize = 10;
const STEPS: usize = 300;
/// Sequences in a batch, as many behind each prompt.
const BATCH: usize = 100;

/// Exact quantities of a student, over all prompts alike.
#[derive(Clone, Copy, Debug, Default)]
struct Exact {
    /// KL(q‖p) of sequences.
    reverse: f64,
    /// KL(p‖q) of sequences.
    forward: f64,
    /// The student's entropy, per token.
    entropy: f64,
}

impl Exact {
    fn of(student: &TableLm, teacher: &TableLm) -> Self {
        let (q, p) = (student.probabilities(), teacher.probabilities());
        let q = |context: usize| &q[context % VOCAB];
        let written = occupancy(|context| q(context));
        let read = occupancy(|context| &p[context]);
        let mut exact = Self::default();
        for context in 0..VOCAB * VOCAB {
            let (q, p) = (q(context), &p[context]);
            exact.reverse += written[context] * kl(q, p);
            exact.forward += read[context] * kl(p, q);
            let entropy: f64 = q.iter().map(|q| -q * q.ln()).sum();
            exact.entropy += written[context] * entropy / NEW as f64;
        }
        exact
    }
}

/// How often each pair of tokens is what the next one is behind, in a sequence that `model` writes.
fn occupancy<'a>(model: impl Fn(usize) -> &'a Vec<f64>) -> Vec<f64> {
    let contexts = VOCAB * VOCAB;
    let mut now = vec![1.0 / contexts as f64; contexts];
    let mut total = vec![0.0; contexts];
    for _ in 0..NEW {
        let mut next = vec![0.0; contexts];
        for (context, mass) in now.iter().enumerate() {
            total[context] += mass;
            for (token, probability) in model(context).iter().enumerate() {
                next[context % VOCAB * VOCAB + token] += mass * probability;
            }
        }
        now = next;
    }
    total
}

fn kl(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * (a / b).ln()).sum()
}

fn prompts() -> Vec<Vec<u32>> {
    let all = (0..VOCAB as u32).flat_map(|a| (0..VOCAB as u32).map(move |b| vec![a, b]));
    all.collect()
}

fn writing(seed: u64) -> GenerateOptions {
    GenerateOptions {
        seed,
        ..GenerateOptions::greedy(NEW)
    }
}

/// What the teacher has written, as data.
fn data(teacher: &TableLm, seed: u64) -> LoaderBatches {
    let prompts: Vec<Vec<u32>> = std::iter::repeat_n(prompts(), 80).flatten().collect();
    let written = teacher.generate(&prompts, &writing(seed)).unwrap();
    let rows: Vec<TokenRow> = prompts
        .into_iter()
        .zip(written)
        .map(|(prompt, written)| {
            let weights = [vec![0.0; 2], vec![1.0; NEW]].concat();
            TokenRow::document(&[prompt, written.tokens].concat(), &weights)
        })
        .collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(BATCH, seed)).unwrap();
    LoaderBatches::new(loader, 0, &plain_device())
}

fn rollouts(seed: u64) -> Rollouts<TableLm> {
    let copies = BATCH / (VOCAB * VOCAB);
    let rows: Vec<TokenRow> = std::iter::repeat_n(prompts(), copies)
        .flatten()
        .map(|prompt| TokenRow::document(&prompt, &[0.0; 2]))
        .collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(BATCH, seed)).unwrap();
    Rollouts::new(loader, writing(seed), 0, &plain_device()).unwrap()
}

fn distilled(
    teacher: &TableLm,
    objective: impl Objective,
    source: impl BatchSource<TableLm> + 'static,
) -> Exact {
    let config = TrainerConfig {
        learning_rate: 0.05,
        schedule: Schedule {
            decay: Decay::Cosine,
            ..Schedule::default()
        },
        optimizer: AdamWConfig {
            weight_decay: 0.0,
            ..AdamWConfig::default()
        },
        max_grad_norm: None,
        ..TrainerConfig::steps(STEPS)
    };
    let student = TableLm::new(VOCAB, 1, 0.0, 0, &Device::default());
    let mut trainer = Trainer::new(
        config,
        student,
        objective,
        ModelTeacher::new(teacher),
        source,
    )
    .unwrap();
    trainer.run().unwrap();
    Exact::of(&trainer.student(), teacher)
}

/// In each of the five pairs, and so in the mean.
#[track_caller]
fn less(what: &str, pairs: impl Iterator<Item = (f64, f64)>) {
    for (seed, (less, more)) in pairs.enumerate() {
        assert!(less < more, "{what}, seed {seed}: {less} {more}");
    }
}

#[test]
fn the_divergence_and_who_writes_decide_what_a_small_student_gives_up() {
    let arms: Vec<[Exact; 3]> = (0..5)
        .map(|seed| {
            let teacher = TableLm::new(VOCAB, 2, 2.0, 100 + seed, &plain_device());
            let forward = SoftTarget::new(Divergence::ForwardKl);
            let reverse = SoftTarget::new(Divergence::ReverseKl);
            let sequences = SequenceReverseKlConfig::new()
                .with_length_normalized(false)
                .with_leave_one_out(true)
                .init()
                .unwrap();
            [
                distilled(&teacher, forward, data(&teacher, seed)),
                distilled(&teacher, reverse, rollouts(seed)),
                distilled(&teacher, sequences, rollouts(seed)),
            ]
        })
        .collect();
    let pairs = |of: fn(&[Exact; 3]) -> (f64, f64)| arms.iter().map(of);
    less(
        "on-policy reverse KL has less KL(q‖p) than off-policy forward KL",
        pairs(|[off, on, _]| (on.reverse, off.reverse)),
    );
    less(
        "reverse KL of sequences has less KL(q‖p) than that of tokens",
        pairs(|[_, on, sequence]| (sequence.reverse, on.reverse)),
    );
    less(
        "off-policy forward KL has the least KL(p‖q)",
        pairs(|[off, on, sequence]| (off.forward, on.forward.min(sequence.forward))),
    );
    less(
        "reverse KL of sequences leaves less entropy than that of tokens",
        pairs(|[_, on, sequence]| (sequence.entropy, on.entropy)),
    );
    less(
        "on-policy reverse KL leaves less entropy than off-policy forward KL",
        pairs(|[off, on, _]| (on.entropy, off.entropy)),
    );
}
