//! Relations of the hidden states of tiny models.

use potstill_core::{CausalLm, Prediction, StudentView, TeacherSignal, TokenBatch, TokenRow};
use potstill_testkit::{TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values};

use super::*;

const ALL: [Relation; 4] = [
    Relation::Distance,
    Relation::Angle,
    Relation::Similarity,
    Relation::LinearCka,
];

fn sum(objective: &RelationMatch, student: &TinyLm, tokens: &[u32]) -> Tensor<1> {
    let weights = vec![2.0; tokens.len()];
    let row = TokenRow::document(tokens, &weights);
    let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
    let teacher = TinyLm::new(11, 6, 2, 1, &plain_device());
    let (student_taps, teacher_taps) = objective.taps();
    let encoded = student.encode(&batch, &student_taps);
    let view = StudentView {
        hidden: batch.rows.select(encoded.hidden),
        head: student.head(),
        tapped: encoded.tapped,
    };
    let signal = TeacherSignal {
        prediction: Prediction::None,
        tapped: teacher.encode(&batch, &teacher_taps).tapped,
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    terms.remove(0).sum
}

fn objective(relation: Relation, max_rows: usize) -> RelationMatch {
    RelationMatchConfig::new(relation, vec![(1, 2), (0, 0)])
        .with_max_rows(max_rows)
        .init()
        .unwrap()
}

#[test]
fn a_narrower_student_learns_relations_without_a_projection() {
    let student = TinyLm::new(11, 4, 1, 2, &autodiff_device());
    for relation in ALL {
        let sum = sum(&objective(relation, 64), &student, &[1, 2, 3, 4, 5, 6]);
        let value = sum.clone().into_scalar::<f32>();
        assert!(value > 0.0, "{relation:?}: {value}");
        // A gradient exists, or backward would panic.
        let _ = sum.backward();
    }
}

#[test]
fn the_batch_counts_by_its_total_weight() {
    let student = TinyLm::new(11, 4, 1, 2, &plain_device());
    // Evenly spaced rows 0 and 2 of four, and two pairs.
    let two_of_four = sum(
        &objective(Relation::Distance, 2),
        &student,
        &[1, 2, 3, 4, 5],
    );
    // Two examples have one distance, which normalization makes 1 for everybody.
    assert_close(&values(&two_of_four), &[0.0], Tolerance::absolute(1e-6));
    let all = sum(
        &objective(Relation::Distance, 64),
        &student,
        &[1, 2, 3, 4, 5],
    );
    assert!(values(&all)[0] > 0.0);
}

#[test]
fn one_row_has_no_relations() {
    let student = TinyLm::new(11, 4, 1, 2, &plain_device());
    for relation in ALL {
        let sum = sum(&objective(relation, 64), &student, &[1, 2]);
        assert_eq!(values(&sum), [0.0]);
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let config = RelationMatchConfig::new(Relation::Angle, vec![(0, 0)]).with_max_rows(1);
    let error = config.init().unwrap_err().to_string();
    assert_eq!(error, "max_rows is 1, it must be at least 2");
    assert!(
        RelationMatchConfig::new(Relation::Angle, vec![])
            .init()
            .is_err()
    );
}
