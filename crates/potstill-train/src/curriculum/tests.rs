//! What is drawn when, and going on from a saved position.

use potstill_core::{CausalLm, Vocabulary};
use potstill_teachers::{ModelTeacher, NoTeacher};
use potstill_testkit::{TinyLm, plain_device};

use super::*;
use crate::testing::{VOCAB, batch};

/// Rows whose first token is their difficulty.
fn rows() -> Vec<TokenRow> {
    let document = |hard: u32| TokenRow::document(&[hard, 1], &[1.0; 2]);
    (0..40).map(|i| document(i * 7 % 40)).collect()
}

fn curriculum(seed: u64) -> Curriculum {
    let rows = rows();
    let difficulty: Vec<f64> = rows.iter().map(|row| f64::from(row.tokens()[0])).collect();
    let options = CurriculumOptions {
        initial: 0.25,
        ..CurriculumOptions::new(4, 50, seed)
    };
    Curriculum::new(rows, &difficulty, options, 0, &plain_device()).unwrap()
}

fn next(source: &mut Curriculum) -> Vec<i64> {
    let batch = BatchSource::<()>::next_batch(source, &()).unwrap().unwrap();
    batch.tokens.into_data().iter::<i64>().collect()
}

#[test]
fn a_batch_holds_different_rows_up_to_the_competence() {
    let mut source = curriculum(3);
    let mut hardest = Vec::new();
    for _ in 0..200 {
        let known = (source.competence() * 40.0).ceil() as i64;
        let mut drawn = next(&mut source);
        hardest.extend(drawn.iter().max().copied());
        assert!(drawn.iter().all(|&hard| hard < known), "{drawn:?} {known}");
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 4);
    }
    assert_eq!(source.competence(), 1.0);
    assert!(hardest[..5].iter().all(|&hard| hard < 20), "{hardest:?}");
    assert!(hardest[50..].contains(&39), "everything is drawn at last");
}

#[test]
fn competence_grows_as_the_square_root() {
    let mut source = curriculum(3);
    let mut share = Vec::new();
    for _ in 0..=50 {
        share.push(source.competence());
        next(&mut source);
    }
    assert!((share[0] - 0.25).abs() < 1e-12);
    assert!((share[25] - (0.5f64 * (1.0 - 0.0625) + 0.0625).sqrt()).abs() < 1e-12);
    assert_eq!(share[50], 1.0);
}

#[test]
fn it_goes_on_from_a_saved_position() {
    let mut source = curriculum(3);
    (0..7).for_each(|_| drop(next(&mut source)));
    let state = BatchSource::<()>::state(&source).unwrap();
    let expected = [next(&mut source), next(&mut source)];
    let mut again = curriculum(3);
    BatchSource::<()>::restore(&mut again, &state).unwrap();
    assert_eq!([next(&mut again), next(&mut again)], expected);

    let refused = |mut other: Curriculum| {
        let error = BatchSource::<()>::restore(&mut other, &state);
        error.unwrap_err().to_string()
    };
    assert!(refused(curriculum(4)).starts_with("the curriculum was"));
    let options = curriculum(3).options;
    let other = Curriculum::new(rows(), &[0.0; 40], options, 0, &plain_device()).unwrap();
    assert!(refused(other).starts_with("the rows, or the order"));
}

#[test]
fn what_is_not_a_number_is_hardest() {
    let rows = rows()[..4].to_vec();
    let difficulty = [-f64::NAN, 2.0, f64::INFINITY, -1.0];
    let options = CurriculumOptions::new(1, 10, 1);
    let source = Curriculum::new(rows, &difficulty, options, 0, &plain_device()).unwrap();
    assert_eq!(source.easiest_first, [3, 1, 2, 0]);
}

#[test]
fn settings_without_a_sense_are_refused() {
    let new = |rows: Vec<TokenRow>, options| {
        let difficulty = vec![0.0; rows.len()];
        let source = Curriculum::new(rows, &difficulty, options, 0, &plain_device());
        source.unwrap_err().to_string()
    };
    let options = CurriculumOptions::new(0, 10, 1);
    assert_eq!(
        new(rows(), options),
        "batch_size is 0, it must be at least 1"
    );
    let options = CurriculumOptions {
        initial: 1.5,
        ..CurriculumOptions::new(1, 10, 1)
    };
    assert_eq!(
        new(rows(), options),
        "initial is 1.5, it must be between 0 and 1"
    );
    new(Vec::new(), CurriculumOptions::new(1, 10, 1));
}

#[test]
fn a_teacher_says_how_hard_each_row_is() {
    let model = TinyLm::new(VOCAB, 8, 2, 3, &plain_device());
    let rows: Vec<TokenRow> = (0..5).map(|i| crate::testing::row(i, 4 + i)).collect();
    let mut teacher = ModelTeacher::new(&model);
    let losses = row_losses(&mut teacher, &rows, 2, 0, &plain_device()).unwrap();
    for (row, loss) in rows.iter().zip(losses) {
        let alone = batch(std::slice::from_ref(row));
        let log_q = burn::tensor::activation::log_softmax(model.row_logits(&alone), 1);
        let targets = alone.row_targets().unsqueeze_dim::<2>(1);
        let expected = -log_q.gather(1, targets).mean().into_scalar::<f64>();
        assert!((loss - expected).abs() < 1e-4, "{loss} {expected}");
    }
    let mut silent = NoTeacher::new(Vocabulary::of_size(VOCAB));
    let error = row_losses(&mut silent, &rows, 2, 0, &plain_device()).unwrap_err();
    assert_eq!(error.to_string(), "cannot say how hard the data is");
}
