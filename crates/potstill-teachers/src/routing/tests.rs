//! Rows come back in order, from the teachers that own them.

use burn::prelude::*;
use potstill_core::{CausalLm, Prediction, TokenRow};
use potstill_testkit::{TinyLm, plain_device, values};

use super::*;
use crate::ensemble::testing::{Fixed, dense};
use crate::{CacheBuilder, CacheConfig, Keep, ModelTeacher, NoTeacher, TeacherIdentity};

const VOCAB: usize = 11;

fn model(seed: u64) -> TinyLm {
    TinyLm::new(VOCAB, 8, 2, seed, &plain_device())
}

fn models() -> Vec<BoxedTeacher> {
    (0..2)
        .map(|seed| Box::new(ModelTeacher::new(&model(seed))) as BoxedTeacher)
        .collect()
}

/// Odd first tokens belong to teacher 1.
fn by_parity(tokens: &[u32]) -> usize {
    (tokens[0] % 2) as usize
}

/// Two rows, five documents, of which the first has no row that counts.
fn mixed() -> TokenBatch {
    let mut first = TokenRow::document(&[4, 5], &[0.0, 0.0]);
    first.push_document(&[1, 2, 3, 4], &[1.0, 1.0, 0.0, 1.0]);
    first.push_document(&[2, 6, 7], &[1.0; 3]);
    let mut second = TokenRow::document(&[8, 9, 1], &[0.0, 0.5, 2.0]);
    second.push_document(&[5, 5], &[1.0; 2]);
    TokenBatch::from_rows(&[first, second], 0, &plain_device())
}

/// The teacher of each row of [`mixed`].
const OWNERS: [usize; 7] = [1, 1, 0, 0, 0, 0, 1];

#[test]
fn each_row_is_its_owners() {
    let batch = mixed();
    let mut routed = RoutedTeachers::new(models(), by_parity).unwrap();
    let signal = routed.signal(&batch, &Taps::hidden([1])).unwrap();
    let by_model = [0, 1].map(|seed| values(&model(seed).row_logits(&batch)));
    let expected: Vec<f64> = OWNERS
        .iter()
        .enumerate()
        .flat_map(|(row, &owner)| by_model[owner][row * VOCAB..][..VOCAB].to_vec())
        .collect();
    assert_eq!(dense(&signal), expected);

    let hidden = |state: Tensor<3>| values(&batch.rows.select(state));
    let by_model = [0, 1].map(|seed| {
        hidden(
            model(seed)
                .encode(&batch, &Taps::hidden([1]))
                .tapped
                .hidden(1),
        )
    });
    let expected: Vec<f64> = OWNERS
        .iter()
        .enumerate()
        .flat_map(|(row, &owner)| by_model[owner][row * 8..][..8].to_vec())
        .collect();
    assert_eq!(hidden(signal.tapped.hidden(1)), expected);
}

#[test]
fn a_batch_of_one_teacher_stays_deferred() {
    let row = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
    let mut routed = RoutedTeachers::new(models(), by_parity).unwrap();
    let signal = routed.signal(&batch, &Taps::attention([])).unwrap();
    let Prediction::Deferred { hidden, head } = signal.prediction else {
        panic!("one teacher's signal is passed on")
    };
    assert_eq!(
        values(&head.logits(hidden)),
        values(&model(1).row_logits(&batch))
    );
}

#[test]
fn cached_teachers_are_routed_as_they_are() {
    let batch = mixed();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let cached = |seed: u64, k: usize| -> BoxedTeacher {
        let model = model(seed);
        let identity = TeacherIdentity::of_model("tiny", &model);
        let config = CacheConfig::new(Keep::top_k(k));
        let path = folders[seed as usize].path().join(k.to_string());
        let teacher = ModelTeacher::new(&model);
        let mut builder = CacheBuilder::open(path, teacher, identity, &config).unwrap();
        builder.add(&batch).unwrap();
        Box::new(builder.finish().unwrap())
    };
    let log_probs = |signal: TeacherSignal| {
        let Prediction::Sparse { log_probs, .. } = signal.prediction else {
            panic!("a cache of the top k is sparse")
        };
        values(&log_probs)
    };
    let by_model =
        [0, 1].map(|seed| log_probs(cached(seed, 4).signal(&batch, &Taps::default()).unwrap()));
    let mut routed = RoutedTeachers::new(vec![cached(0, 4), cached(1, 4)], by_parity).unwrap();
    let found = log_probs(routed.signal(&batch, &Taps::default()).unwrap());
    let expected: Vec<f64> = OWNERS
        .iter()
        .enumerate()
        .flat_map(|(row, &owner)| by_model[owner][row * 4..][..4].to_vec())
        .collect();
    assert_eq!(found, expected);

    let mut routed = RoutedTeachers::new(vec![cached(0, 4), cached(1, 3)], by_parity).unwrap();
    let message = failure(&mut routed, &batch, &Taps::default());
    assert!(message.starts_with("teacher 1 gives top-4 predictions and teacher 2 top-3 ones"));
}

fn failure(routed: &mut RoutedTeachers, batch: &TokenBatch, taps: &Taps) -> String {
    match routed.signal(batch, taps).unwrap_err() {
        TeacherError::Source(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[test]
fn what_cannot_be_merged_is_an_error_that_says_why() {
    let batch = mixed();
    let mut routed = RoutedTeachers::new(models(), by_parity).unwrap();
    assert!(
        failure(&mut routed, &batch, &Taps::attention([0])).contains("no common attention map")
    );

    let wide: BoxedTeacher = Box::new(ModelTeacher::new(&TinyLm::new(
        VOCAB,
        12,
        1,
        0,
        &plain_device(),
    )));
    let narrow: BoxedTeacher = Box::new(ModelTeacher::new(&model(0)));
    let mut routed = RoutedTeachers::new(vec![narrow, wide], by_parity).unwrap();
    assert!(failure(&mut routed, &batch, &Taps::hidden([1])).contains("theirs differ in width"));
    routed.signal(&batch, &Taps::default()).unwrap();

    let silent: BoxedTeacher = Box::new(NoTeacher::new(Vocabulary::of_size(VOCAB)));
    let speaking = Fixed::boxed(&[0.0; VOCAB]);
    let mut routed = RoutedTeachers::new(vec![silent, speaking], by_parity).unwrap();
    let message = failure(&mut routed, &batch, &Taps::default());
    assert!(
        message.starts_with("teacher 1 gives no predictions and teacher 2 whole ones"),
        "{message}"
    );

    let mut routed = RoutedTeachers::new(models(), |_| 7).unwrap();
    let message = failure(&mut routed, &batch, &Taps::default());
    assert_eq!(message, "the route names teacher 7, counted from 0, of 2");
}

#[test]
fn a_language_has_its_teacher() {
    let texts = [
        "the cat sat on the mat and slept",
        "der Hund schläft auf dem Sofa und träumt",
    ];
    let decode = move |tokens: &[u32]| texts[tokens[0] as usize].to_owned();
    let specialists = vec![
        ("eng", Fixed::boxed(&[1.0; 3])),
        ("deu", Fixed::boxed(&[2.0; 3])),
    ];
    let mut routed = RoutedTeachers::by_language(specialists, decode).unwrap();
    let rows = [1, 0, 1].map(|text| TokenRow::document(&[text, 2], &[1.0; 2]));
    let batch = TokenBatch::from_rows(&rows, 0, &plain_device());
    let signal = routed.signal(&batch, &Taps::default()).unwrap();
    assert_eq!(
        dense(&signal),
        [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    );
}
