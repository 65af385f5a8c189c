//! Several students at once: one pass over one teacher, or none but each other.

use std::path::Path;

use burn::module::Module;
use potstill_core::Objective;
use potstill_losses::{Divergence, HardTarget, HiddenMatch, HiddenMatchConfig, SoftTarget};
use potstill_models::LanguageModel;
use potstill_teachers::{ModelTeacher, PeerGroup, PeerTurns, SharedTeacher};
use potstill_testkit::plain_device;
use potstill_train::{Event, Flow, Learner, StopReason, Trainer, TrainerConfig, run_together};

use crate::{config, cross_entropy, model, parameters, source, student, teacher};

type Shared = SharedTeacher<ModelTeacher<LanguageModel>>;
type Hinted = (SoftTarget, HiddenMatch);

fn soft() -> SoftTarget {
    SoftTarget::new(Divergence::ForwardKl)
}

fn hinted() -> Hinted {
    plain_device().seed(3);
    let hints = HiddenMatchConfig::new(vec![(1, 2)], 12, 16);
    (soft(), hints.init(&plain_device()).unwrap())
}

/// A narrow student of the logits, and a wider one of logits and hints, of one teacher.
fn pair(
    config: &TrainerConfig,
    shared: &Shared,
) -> (
    Trainer<LanguageModel, SoftTarget>,
    Trainer<LanguageModel, Hinted>,
) {
    let narrow = Trainer::new(config.clone(), student(2), soft(), shared.clone(), source());
    let wide = model(12, 1, 4);
    let wide = Trainer::new(config.clone(), wide, hinted(), shared.clone(), source());
    (narrow.unwrap(), wide.unwrap())
}

#[test]
fn a_step_of_two_students_is_one_pass_of_their_teacher() {
    let shared = SharedTeacher::new(teacher()).tapping(&hinted().taps().1);
    let (mut narrow, mut wide) = pair(&config(10), &shared);
    let outcomes = run_together(&mut [&mut narrow, &mut wide]).unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| (outcome.steps, outcome.reason) == (10, StopReason::Completed))
    );
    assert_eq!(shared.passes(), 10);

    // Each is what it would be alone.
    let mut alone = Trainer::new(config(10), student(2), soft(), teacher(), source()).unwrap();
    alone.run().unwrap();
    assert_eq!(parameters(narrow.model()), parameters(alone.model()));
    let mut alone =
        Trainer::new(config(10), model(12, 1, 4), hinted(), teacher(), source()).unwrap();
    alone.run().unwrap();
    assert_eq!(parameters(wide.model()), parameters(alone.model()));
}

#[test]
fn micro_batches_are_shared_as_well() {
    let config = TrainerConfig {
        accumulation: 2,
        ..config(4)
    };
    let shared = SharedTeacher::new(teacher()).remembering(2);
    let (mut narrow, mut wide) = pair(&config, &shared);
    // The taps of the second student are learned with a pass over the two batches of the first step.
    run_together(&mut [&mut narrow, &mut wide]).unwrap();
    assert_eq!(shared.passes(), 4 * 2 + 2);
}

#[test]
fn students_that_were_stopped_apart_meet_again() {
    let expected = {
        let (mut narrow, mut wide) = pair(&config(10), &SharedTeacher::new(teacher()));
        run_together(&mut [&mut narrow, &mut wide]).unwrap();
        (parameters(narrow.model()), parameters(wide.model()))
    };
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["narrow", "wide"].map(|name| folder.path().join(name));
    let (narrow, wide) = pair(&config(10), &SharedTeacher::new(teacher()));
    let mut narrow = narrow.start_in(&first).unwrap();
    let mut wide = wide.start_in(&second).unwrap();
    for _ in 0..6 {
        narrow.advance().unwrap();
    }
    for _ in 0..2 {
        wide.advance().unwrap();
    }
    drop((narrow, wide));

    let shared = SharedTeacher::new(teacher()).tapping(&hinted().taps().1);
    let (narrow, wide) = pair(&config(10), &shared);
    let mut narrow = narrow.continue_in(&first).unwrap();
    let mut wide = wide.continue_in(&second).unwrap();
    assert_eq!((narrow.finished_steps(), wide.finished_steps()), (6, 2));
    run_together(&mut [&mut narrow, &mut wide]).unwrap();
    assert_eq!(
        (parameters(narrow.model()), parameters(wide.model())),
        expected
    );
    assert_eq!(shared.passes(), 4 + 4, "four steps alone, four together");
}

#[test]
fn one_that_stops_early_does_not_hold_the_others() {
    let shared = SharedTeacher::new(teacher()).tapping(&hinted().taps().1);
    let (narrow, mut wide) = pair(&config(10), &shared);
    let mut narrow = narrow.callback(|event: &Event<'_>| match event {
        Event::Step { step: 3, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    let outcomes = run_together(&mut [&mut narrow, &mut wide]).unwrap();
    let reasons: Vec<_> = outcomes.iter().map(|outcome| outcome.reason).collect();
    assert_eq!(reasons, [StopReason::Callback, StopReason::Completed]);
    assert_eq!((narrow.finished_steps(), wide.finished_steps()), (3, 10));
}

type Mutual = Trainer<LanguageModel, (HardTarget, SoftTarget)>;

/// Three students of different shapes that teach each other.
fn mutual(turns: PeerTurns, folder: Option<&Path>) -> Vec<Mutual> {
    let students = [model(8, 2, 2), model(12, 1, 3), model(8, 1, 4)];
    let group = PeerGroup::new(&students, turns).unwrap();
    let trainer = |(number, student): (usize, LanguageModel)| {
        let objective = (HardTarget::new(), soft());
        let teacher = group.teacher(number).unwrap();
        let trainer = Trainer::new(config(8), student, objective, teacher, source())
            .unwrap()
            .onlooker(group.onlooker(number));
        match folder {
            Some(folder) => trainer
                .continue_in(folder.join(number.to_string()))
                .unwrap(),
            None => trainer,
        }
    };
    students.into_iter().enumerate().map(trainer).collect()
}

fn run(trainers: &mut [Mutual]) {
    let mut learners: Vec<&mut dyn Learner> = Vec::new();
    for trainer in trainers {
        learners.push(trainer);
    }
    run_together(&mut learners).unwrap();
}

fn all_parameters(trainers: &[Mutual]) -> Vec<Vec<f32>> {
    let students = trainers.iter().map(Trainer::model);
    students.map(parameters).collect()
}

#[test]
fn students_that_teach_each_other_go_on_bit_for_bit() {
    for turns in [PeerTurns::Alternating, PeerTurns::Simultaneous] {
        let mut whole = mutual(turns, None);
        let before = cross_entropy(&whole[0].student());
        run(&mut whole);
        assert!(cross_entropy(&whole[0].student()) < before);

        let folder = tempfile::tempdir().unwrap();
        let mut cut = mutual(turns, Some(folder.path()));
        cut.iter_mut().for_each(|trainer| trainer.begin().unwrap());
        for _ in 0..4 {
            for trainer in &mut cut {
                trainer.advance().unwrap();
            }
        }
        drop(cut);
        let mut continued = mutual(turns, Some(folder.path()));
        assert_eq!(continued[0].finished_steps(), 4);
        run(&mut continued);
        assert_eq!(all_parameters(&continued), all_parameters(&whole));
    }
}

#[test]
fn at_once_the_order_of_the_students_does_not_matter() {
    let trained = |turns, first: usize| {
        let students = [model(8, 2, 2), model(8, 1, 4)];
        let group = PeerGroup::new(&students, turns).unwrap();
        let mut trainers: Vec<Mutual> = students
            .iter()
            .enumerate()
            .map(|(number, student)| {
                let objective = (HardTarget::new(), soft());
                let teacher = group.teacher(number).unwrap();
                let student = student.clone();
                Trainer::new(config(5), student, objective, teacher, source())
                    .unwrap()
                    .onlooker(group.onlooker(number))
            })
            .collect();
        trainers.rotate_left(first);
        run(&mut trainers);
        trainers.rotate_right(first);
        let students = trainers.iter().map(|trainer| trainer.model().valid());
        students.map(|model| parameters(&model)).collect::<Vec<_>>()
    };
    let simultaneous = PeerTurns::Simultaneous;
    assert_eq!(trained(simultaneous, 0), trained(simultaneous, 1));
    let alternating = PeerTurns::Alternating;
    assert_ne!(trained(alternating, 0), trained(alternating, 1));
}
