//! Distillation by preference (DPKD): the reference is the teacher, not the student as it was.
//!
//! What a student comes to is known where it can express it. Both losses compare its preference for
//! the chosen answer with the reference's,
//!
//! ```text
//! h = (log q_w − log q_l) − (log p_w − log p_l)
//! IPO                  least at h = 1/(2β)
//! DPO with smoothing ε least at h = ln((1 − ε)/ε)/β
//! ```
//!
//! so that the student ends with the teacher's own preference, moved by a constant.

use burn::prelude::Device;
use potstill_core::TokenRow;
use potstill_data::{Loader, LoaderOptions};
use potstill_losses::{PreferenceConfig, PreferenceLoss};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{TableLm, plain_device};
use potstill_train::{
    AdamWConfig, Decay, Event, Flow, LoaderBatches, Schedule, Trainer, TrainerConfig,
};

const VOCAB: u32 = 6;
const BETA: f64 = 0.5;

/// First and last token of each prompt, the chosen and the rejected answer to it.
const PAIRS: [[u32; 4]; 4] = [[1, 0, 3, 5], [2, 1, 4, 0], [0, 2, 1, 3], [3, 3, 2, 1]];

/// Looks back two tokens, the student one: it is the larger model.
fn teacher() -> TableLm {
    TableLm::new(VOCAB as usize, 2, 1.5, 4, &plain_device())
}

fn student() -> TableLm {
    TableLm::new(VOCAB as usize, 1, 0.5, 9, &Device::default())
}

/// `log w − log l` of each pair, `[student, teacher]`.
fn margins(student: &TableLm) -> Vec<[f64; 2]> {
    let (q, p) = (student.probabilities(), teacher().probabilities());
    let margin = |row: &[f64], w: u32, l: u32| (row[w as usize] / row[l as usize]).ln();
    let of = |[a, b, w, l]: [u32; 4]| {
        [
            margin(&q[b as usize], w, l),
            margin(&p[(a * VOCAB + b) as usize], w, l),
        ]
    };
    PAIRS.map(of).to_vec()
}

/// The student behind a training, and the last `reward_margin` in its log.
fn preferring(loss: PreferenceLoss, reference: &TableLm) -> (TableLm, f64) {
    let row = |[a, b, w, l]: [u32; 4]| {
        let mut row = TokenRow::document(&[a, b, w], &[0.0, 0.0, 0.5]);
        row.push_document(&[a, b, l], &[0.0, 0.0, 0.5]);
        row
    };
    let loader = Loader::new(PAIRS.map(row).to_vec(), LoaderOptions::shuffled(4, 1)).unwrap();
    let source = LoaderBatches::new(loader, 0, &plain_device());
    let config = TrainerConfig {
        learning_rate: 0.1,
        schedule: Schedule {
            decay: Decay::Cosine,
            ..Schedule::default()
        },
        optimizer: AdamWConfig {
            weight_decay: 0.0,
            ..AdamWConfig::default()
        },
        ..TrainerConfig::steps(300)
    };
    let objective = PreferenceConfig::new().with_loss(loss).with_beta(BETA);
    let (send, rewards) = std::sync::mpsc::channel();
    let mut trainer = Trainer::new(
        config,
        student(),
        objective.init().unwrap(),
        ModelTeacher::new(reference),
        source,
    )
    .unwrap()
    .callback(move |event: &Event<'_>| {
        if let Event::Step { report, .. } = event {
            let margin = report
                .terms
                .iter()
                .find(|term| term.name == "reward_margin");
            send.send(margin.unwrap().mean).unwrap();
        }
        Flow::Continue
    });
    trainer.run().unwrap();
    (trainer.student(), rewards.try_iter().last().unwrap())
}

#[test]
fn a_student_ends_with_its_teachers_preference_moved_by_a_known_constant() {
    let smoothing = 0.2;
    for (loss, h) in [
        (PreferenceLoss::Ipo, (2.0 * BETA).recip()),
        (
            PreferenceLoss::Dpo { smoothing },
            ((1.0 - smoothing) / smoothing).ln() / BETA,
        ),
    ] {
        let (student, reward) = preferring(loss, &teacher());
        for [q, p] in margins(&student) {
            assert!((q - (p + h)).abs() < 2e-3, "{loss:?}: {q} {p} + {h}");
        }
        assert!((reward - BETA * h).abs() < 2e-3, "{loss:?}: {reward}");
    }
}

#[test]
fn a_student_that_is_its_own_reference_learns_nothing_of_what_the_teacher_prefers() {
    let (student, _) = preferring(PreferenceLoss::Ipo, &self::student());
    let (before, after) = (margins(&self::student()), margins(&student));
    for ([now, of_teacher], [first, _]) in after.iter().zip(before) {
        assert!((now - (first + 1.0)).abs() < 2e-3, "{now} {first}");
        assert!((now - (of_teacher + 1.0)).abs() > 0.1, "{now} {of_teacher}");
    }
}
