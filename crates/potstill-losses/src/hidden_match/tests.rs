//! Hidden states of tiny models, matched through the objective.

use potstill_core::{
    CausalLm, Prediction, StudentView, Tapped, TeacherSignal, TokenBatch, TokenRow,
};
use potstill_testkit::{TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values};

use super::*;

fn batch() -> TokenBatch {
    let row = TokenRow::document(&[1, 2, 3, 4, 5], &[0.0, 1.0, 0.0, 2.0, 0.5]);
    let short = TokenRow::document(&[6, 7], &[1.0, 1.0]);
    TokenBatch::from_rows(&[row, short], 0, &plain_device())
}

fn view(student: &TinyLm, taps: &Taps) -> StudentView {
    let encoded = student.encode(&batch(), taps);
    StudentView {
        hidden: batch().rows.select(encoded.hidden),
        head: student.head(),
        tapped: encoded.tapped,
    }
}

fn signal(teacher: &TinyLm, taps: &Taps) -> TeacherSignal {
    let tapped: Tapped = teacher.encode(&batch(), taps).tapped;
    TeacherSignal {
        prediction: Prediction::None,
        tapped,
    }
}

fn term(objective: &HiddenMatch, student: &TinyLm, teacher: &TinyLm) -> LossTerm {
    let (student_taps, teacher_taps) = objective.taps();
    let (view, signal) = (view(student, &student_taps), signal(teacher, &teacher_taps));
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch: &batch(),
    };
    objective.terms(input, &mut terms);
    assert_eq!(terms.len(), 1);
    terms.remove(0)
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn() {
    let teacher = TinyLm::new(11, 6, 3, 1, &plain_device());
    for distance in [HiddenDistance::Mse, HiddenDistance::Cosine] {
        let config = HiddenMatchConfig::new(vec![(0, 0), (3, 3)], 6, 6).with_distance(distance);
        let objective = config.init(&plain_device()).unwrap();
        let sum = term(&objective, &teacher, &teacher).sum;
        assert_close(&values(&sum), &[0.0], Tolerance::absolute(1e-5));
    }
}

#[test]
fn the_sum_is_weighted_by_row_and_averaged_over_pairs() {
    let teacher = TinyLm::new(11, 6, 2, 1, &plain_device());
    let student = TinyLm::new(11, 6, 1, 2, &plain_device());
    let objective = HiddenMatchConfig::new(vec![(0, 0), (1, 2)], 6, 6)
        .init(&plain_device())
        .unwrap();
    let (student_taps, teacher_taps) = objective.taps();
    let (view, signal) = (
        view(&student, &student_taps),
        signal(&teacher, &teacher_taps),
    );
    let weights = [1.0, 2.0, 0.5, 1.0];
    let mut expected = 0.0;
    for (s, t) in [(0, 0), (1, 2)] {
        let rows = batch().rows;
        let student = values(&rows.select(view.tapped.hidden(s)));
        let teacher = values(&rows.select(signal.tapped.hidden(t)));
        for (row, weight) in weights.iter().enumerate() {
            let at = row * 6..(row + 1) * 6;
            let squares = student[at.clone()]
                .iter()
                .zip(&teacher[at])
                .map(|(s, t)| (s - t).powi(2));
            expected += weight * squares.sum::<f64>() / 6.0 / 2.0;
        }
    }
    let term = term(&objective, &student, &teacher);
    assert_eq!(term.name, "hidden_mse");
    assert_close(&values(&term.sum), &[expected], Tolerance::F32);
}

#[test]
fn a_narrower_student_is_projected_and_the_projection_learns() {
    let teacher = TinyLm::new(11, 6, 2, 1, &plain_device());
    let student = TinyLm::new(11, 4, 1, 2, &autodiff_device());
    let objective = HiddenMatchConfig::new(vec![(1, 2)], 4, 6)
        .init(&autodiff_device())
        .unwrap();
    assert_eq!(objective.num_params(), 24);
    let gradients = term(&objective, &student, &teacher).sum.backward();
    let gradient = objective.projections[0].grad(&gradients).unwrap();
    assert!(values(&gradient).iter().any(|value| *value != 0.0));
}

#[test]
fn equal_widths_are_projected_only_on_request() {
    let config = HiddenMatchConfig::new(vec![(1, 2), (2, 4)], 6, 6);
    assert_eq!(config.init(&plain_device()).unwrap().num_params(), 0);
    assert_eq!(
        config
            .with_project(true)
            .init(&plain_device())
            .unwrap()
            .num_params(),
        72
    );
}

#[test]
fn nonsense_is_refused_by_name() {
    let error = HiddenMatchConfig::new(vec![], 6, 6)
        .init(&plain_device())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "pairs is empty, give at least one (student, teacher) pair"
    );
    let error = HiddenMatchConfig::new(vec![(0, 0)], 0, 6)
        .init(&plain_device())
        .unwrap_err();
    assert_eq!(error.to_string(), "d_student is 0, it must be at least 1");
}
