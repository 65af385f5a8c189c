//! Random numbers drawn on the device continue where they were.
//!
//! Alone in its binary: the backend has one random stream for the whole process, and a trainer in
//! another test would seed it at any moment.

use burn::prelude::*;
use burn::tensor::Distribution;
use potstill_core::{LossTerm, Objective, ObjectiveInput, TokenBatch, TokenRow, Vocabulary};
use potstill_teachers::NoTeacher;
use potstill_testkit::{TinyLm, plain_device, values};
use potstill_train::{Event, FixedBatches, Flow, Trainer, TrainerConfig};

/// Pulls hidden states towards random values, different at each step.
#[derive(Module, Debug)]
struct Noise {
    scale: f64,
}

impl Objective for Noise {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        let hidden = input.student.hidden.clone();
        let normal = Distribution::Normal(0.0, self.scale);
        let target = Tensor::<2>::random(hidden.dims(), normal, &plain_device());
        let per_row = (hidden - target).square().mean_dim(1).squeeze_dim::<1>(1);
        let sum = input.batch.rows.weighted_sum(per_row);
        terms.push(LossTerm {
            name: "noise".into(),
            weight: 1.0,
            sum,
        });
    }
}

fn trainer(seed: u64) -> Trainer<TinyLm, Noise> {
    let row = TokenRow::document(&[3, 1, 4, 1, 5], &[1.0; 5]);
    let source = FixedBatches::new(vec![TokenBatch::from_rows(&[row], 0, &plain_device())]);
    let student = TinyLm::new(7, 4, 1, 1, &plain_device());
    let config = TrainerConfig {
        seed,
        ..TrainerConfig::steps(10)
    };
    let teacher = NoTeacher::new(Vocabulary::of_size(7));
    Trainer::new(config, student, Noise { scale: 1.0 }, teacher, source).expect("a valid run")
}

fn embedding(trainer: &Trainer<TinyLm, Noise>) -> Vec<f64> {
    use potstill_core::CausalLm;
    values(&trainer.student().head().weight)
}

#[test]
fn a_continued_run_draws_what_an_uninterrupted_one_draws() {
    let mut whole = trainer(5);
    whole.run().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let first = trainer(5).callback(|event: &Event<'_>| match event {
        Event::Step { step: 4, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    first.start_in(folder.path()).unwrap().run().unwrap();
    // Whatever a process does before it continues must not matter.
    let _ = Tensor::<1>::random([17], Distribution::Default, &plain_device());
    let mut continued = trainer(5).continue_in(folder.path()).unwrap();
    continued.run().unwrap();
    assert_eq!(embedding(&continued), embedding(&whole));

    let mut other = trainer(6);
    other.run().unwrap();
    assert_ne!(embedding(&other), embedding(&whole));
}
