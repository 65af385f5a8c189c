//! Signals: rows, taps, devices, and what a teacher refuses.

use super::*;
use potstill_core::TokenRow;
use potstill_testkit::{TinyLm, autodiff_device, plain_device, values};

fn batch(device: &Device) -> TokenBatch {
    let rows = [
        TokenRow::document(&[1, 2, 3, 4], &[1.0, 0.0, 2.0, 1.0]),
        TokenRow::document(&[5, 6], &[1.0, 1.0]),
    ];
    TokenBatch::from_rows(&rows, 0, device)
}

fn deferred(signal: TeacherSignal) -> (Tensor<2>, LmHead) {
    let Prediction::Deferred { hidden, head } = signal.prediction else {
        panic!("a model's prediction is deferred")
    };
    (hidden, head)
}

#[test]
fn it_predicts_what_the_model_predicts() {
    let model = TinyLm::new(11, 8, 2, 1, &plain_device());
    let batch = batch(&plain_device());
    let (hidden, head) = deferred(
        ModelTeacher::new(&model)
            .signal(&batch, &Taps::default())
            .unwrap(),
    );
    assert_eq!(
        values(&head.logits(hidden)),
        values(&model.row_logits(&batch))
    );
}

#[test]
fn the_signal_never_carries_autodiff() {
    let model = TinyLm::new(11, 8, 2, 1, &autodiff_device());
    let batch = batch(&autodiff_device());
    let signal = ModelTeacher::new(&model)
        .signal(&batch, &Taps::hidden([0, 2]))
        .unwrap();
    assert!(
        signal
            .tapped
            .hidden
            .iter()
            .all(|(_, state)| !state.is_autodiff())
    );
    let (hidden, head) = deferred(signal);
    assert!(!hidden.is_autodiff() && !head.weight.is_autodiff());
}

#[test]
fn it_keeps_the_weights_that_it_was_given() {
    let model = TinyLm::new(11, 8, 1, 1, &autodiff_device());
    let batch = batch(&plain_device());
    let mut teacher = ModelTeacher::new(&model);
    let before = deferred(teacher.signal(&batch, &Taps::default()).unwrap()).0;
    let zeroed = model.map(&mut Zero);
    assert!(
        values(&zeroed.row_logits(&batch))
            .iter()
            .all(|&logit| logit == 0.0)
    );
    let after = deferred(teacher.signal(&batch, &Taps::default()).unwrap()).0;
    assert_eq!(values(&before), values(&after));
}

struct Zero;

impl burn::module::ModuleMapper for Zero {
    fn map_float<const D: usize>(
        &mut self,
        parameter: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        parameter.map(|value| value.zeros_like())
    }
}

#[test]
fn a_layer_that_is_missing_is_an_error_that_names_the_last_one() {
    let mut teacher = ModelTeacher::new(&TinyLm::new(11, 8, 2, 1, &plain_device()));
    let error = teacher
        .signal(&batch(&plain_device()), &Taps::hidden([3]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the objective asks for the teacher's hidden state 3, the last one is 2"
    );
}

#[test]
fn a_segment_beyond_the_context_is_an_error_that_names_both_lengths() {
    let model = TinyLm::new(11, 8, 2, 1, &plain_device()).with_max_positions(2);
    let error = ModelTeacher::new(&model)
        .signal(&batch(&plain_device()), &Taps::default())
        .unwrap_err();
    assert!(
        matches!(
            error,
            TeacherError::TooLong {
                length: 3,
                max_positions: 2
            }
        ),
        "{error}"
    );
}

#[test]
fn it_names_its_tokenizer() {
    let tokenizer = TokenizerIdentity {
        size: 9,
        fingerprint: "abc".into(),
    };
    let model = TinyLm::new(11, 8, 2, 1, &plain_device());
    let teacher = ModelTeacher::new(&model).with_tokenizer(tokenizer.clone());
    assert_eq!(teacher.vocabulary().head_size, 11);
    assert_eq!(teacher.vocabulary().tokenizer, Some(tokenizer));
}
