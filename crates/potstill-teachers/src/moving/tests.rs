//! The average follows the student, and nothing else does.

use potstill_core::{Prediction, TokenRow};
use potstill_testkit::{TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values};

use super::*;

fn parameters(model: &TinyLm) -> Vec<f64> {
    let mut parameters = Parameters(VecDeque::new());
    model.visit(&mut parameters);
    parameters
        .0
        .iter()
        .flat_map(|(_, value)| values(value))
        .collect()
}

fn student(seed: u64) -> TinyLm {
    TinyLm::new(11, 4, 2, seed, &autodiff_device())
}

#[test]
fn the_average_moves_by_what_the_decay_leaves() {
    let (first, second) = (student(1), student(2));
    let teacher = EmaTeacher::new(&first, 0.75);
    let updater = teacher.updater();
    updater.update(&second);
    updater.update(&second);
    let (first, second) = (parameters(&first.valid()), parameters(&second.valid()));
    let share = 0.75 * 0.75;
    let expected: Vec<f64> = first
        .iter()
        .zip(&second)
        .map(|(a, b)| share * a + (1.0 - share) * b)
        .collect();
    let near = Tolerance {
        absolute: 1e-6,
        relative: 1e-6,
    };
    assert_close(&parameters(&updater.model()), &expected, near);
}

#[test]
fn it_teaches_what_the_average_says_and_carries_no_autodiff() {
    let (first, second) = (student(1), student(2));
    let mut teacher = EmaTeacher::new(&first, 0.5);
    let updater = teacher.updater();
    let row = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
    let mut said = |_: &str| {
        let signal = teacher.signal(&batch, &Taps::default()).unwrap();
        let Prediction::Deferred { hidden, head } = signal.prediction else {
            panic!("a model's prediction is deferred")
        };
        assert!(!hidden.is_autodiff() && !head.weight.is_autodiff());
        values(&head.logits(hidden))
    };
    assert_eq!(said("before"), values(&first.valid().row_logits(&batch)));
    updater.update(&second);
    assert_eq!(said("after"), values(&updater.model().row_logits(&batch)));
}

#[test]
fn an_average_of_one_student_is_that_student() {
    let student = student(3);
    let teacher = EmaTeacher::new(&student, 1.0);
    teacher.updater().update(&self::student(4));
    assert_eq!(
        parameters(&teacher.updater().model()),
        parameters(&student.valid())
    );
}

#[test]
#[should_panic(expected = "lies between 0 and 1, this one is 1.5")]
fn a_decay_beyond_1_is_a_bug() {
    let _ = EmaTeacher::new(&student(1), 1.5);
}

#[test]
#[should_panic(expected = "other parameters than its average")]
fn fewer_layers_are_a_bug() {
    let teacher = EmaTeacher::new(&TinyLm::new(11, 4, 2, 1, &plain_device()), 0.5);
    teacher
        .updater()
        .update(&TinyLm::new(11, 4, 1, 1, &plain_device()));
}

#[test]
#[should_panic(expected = "other parameters than its average")]
fn another_width_is_a_bug() {
    let teacher = EmaTeacher::new(&TinyLm::new(11, 4, 1, 1, &plain_device()), 0.5);
    teacher
        .updater()
        .update(&TinyLm::new(11, 8, 1, 1, &plain_device()));
}
