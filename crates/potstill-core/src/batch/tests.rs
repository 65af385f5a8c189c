//! Shift, segments, positions and the rows that count.

use burn::prelude::*;
use proptest::prelude::*;

use super::*;

fn ints(tensor: &Tensor<2, Int>) -> Vec<i32> {
    tensor
        .to_data()
        .convert::<i32>()
        .try_into_vec::<i32>()
        .unwrap()
}

#[test]
fn a_document_is_shifted_once() {
    let row = TokenRow::document(&[5, 6, 7], &[1.0, 0.0, 1.0]);
    assert_eq!(row.tokens(), [5, 6]);
    assert_eq!(row.targets(), [6, 7]);
    assert_eq!(row.weights(), [0.0, 1.0]);
    assert_eq!(row.segments(), [1, 1]);
}

#[test]
fn a_single_token_predicts_nothing() {
    assert!(TokenRow::document(&[5], &[1.0]).is_empty());
    assert!(TokenRow::document(&[], &[]).is_empty());
}

#[test]
fn packed_documents_restart_their_positions() {
    let mut row = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    row.push_document(&[4, 5], &[1.0; 2]);
    let short = TokenRow::document(&[6, 7], &[1.0, 0.5]);
    let batch = TokenBatch::from_rows(&[row, short], 0, &Device::default());
    assert_eq!(ints(&batch.tokens), [1, 2, 4, 6, 0, 0]);
    assert_eq!(ints(&batch.segments), [1, 1, 2, 1, 0, 0]);
    assert_eq!(ints(&batch.positions), [0, 1, 0, 0, 0, 0]);
    assert_eq!(batch.longest_segment(), 2);
    assert!(!batch.is_plain_causal());
    assert_eq!(batch.rows.count(), 4);
    assert!((batch.rows.total_weight() - 3.5).abs() < 1e-12);
    let indices = batch.rows.indices.to_data().convert::<i32>();
    assert_eq!(indices.try_into_vec::<i32>().unwrap(), [0, 1, 2, 3]);
    let targets = batch.row_targets().to_data().convert::<i32>();
    assert_eq!(targets.try_into_vec::<i32>().unwrap(), [2, 3, 5, 7]);
}

#[test]
fn equal_rows_without_padding_are_plain() {
    let row = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    assert!(TokenBatch::from_rows(&[row.clone(), row], 0, &Device::default()).is_plain_causal());
}

#[test]
fn selecting_rows_takes_the_counted_positions() {
    let device = Device::default();
    let row = TokenRow::document(&[1, 2, 3, 4], &[0.0, 1.0, 0.0, 2.0]);
    let batch = TokenBatch::from_rows(&[row], 0, &device);
    let hidden = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], &device);
    let rows: Vec<f32> = batch
        .rows
        .select(hidden)
        .into_data()
        .try_into_vec::<f32>()
        .unwrap();
    assert_eq!(rows, [1.0, 2.0, 5.0, 6.0]);
    let values = Tensor::<1>::from_floats([10.0, 1.0], &device);
    assert!((batch.rows.weighted_sum(values).into_scalar::<f32>() - 12.0).abs() < 1e-6);
}

#[test]
fn the_largest_token_is_one_that_is_read_or_counted() {
    let mut row = TokenRow::document(&[1, 2, 9], &[1.0, 1.0, 0.0]);
    row.push_document(&[3, 4, 5, 6], &[1.0; 4]);
    assert_eq!((row.largest_token(), row.longest_document()), (6, 3));
    let padded = TokenBatch::from_rows(
        &[row, TokenRow::document(&[1, 2], &[1.0; 2])],
        7,
        &Device::default(),
    );
    assert_eq!((padded.largest_token(), padded.longest_segment()), (7, 3));
    assert_eq!(TokenRow::default().longest_document(), 0);
}

fn rollout(prompt: &[u32], tokens: &[u32], policy: f32) -> crate::Rollout {
    crate::Rollout::new(
        prompt.to_vec(),
        crate::Generation {
            tokens: tokens.to_vec(),
            log_probs: vec![policy; tokens.len()],
            finish: crate::FinishReason::Length,
        },
    )
}

#[test]
fn what_a_model_wrote_counts_and_carries_its_draws() {
    let mut row = rollout(&[1, 2], &[3, 4, 5], -0.5).row();
    row.push_rollout(&rollout(&[6], &[7], -0.25));
    let other = rollout(&[8, 9], &[1, 2], -0.125).row();
    let rows = [row, other];
    let batch = TokenBatch::from_rows(&rows, 0, &Device::default());
    assert_eq!(batch.sequences(), [3, 1, 2]);
    assert_eq!(batch.rows.count(), 6);
    let drawn = batch.drawn.unwrap().to_device(&Device::default());
    let policy: Vec<f32> = drawn.policy.into_data().iter::<f32>().collect();
    assert_eq!(policy, [-0.5, -0.5, -0.5, -0.25, -0.125, -0.125]);
    let targets: Vec<i32> = batch.targets.into_data().iter::<i32>().collect();
    assert_eq!(targets, [2, 3, 4, 5, 7, 9, 1, 2, 0, 0]);
}

#[test]
fn a_batch_in_which_nobody_drew_a_counting_target_has_no_draws() {
    let data = TokenRow::document(&[1, 2, 3], &[0.0, 0.0, 1.0]);
    let rows = [rollout(&[1], &[2], -0.5).row(), data];
    let batch = TokenBatch::from_rows(&rows, 0, &Device::default());
    assert!(batch.drawn.is_none());
    assert_eq!(batch.sequences(), [1, 1]);
}

#[test]
#[should_panic(expected = "a padding position (segment 0) cannot count")]
fn padding_cannot_count() {
    let _ = TokenBatch::new(
        [1, 2],
        &[1, 2],
        &[1, 0],
        &[2, 3],
        &[1.0, 1.0],
        &Device::default(),
    );
}

proptest! {
    #[test]
    fn no_predicted_token_is_lost(lengths in prop::collection::vec(0usize..6, 1..8)) {
        let mut row = TokenRow::default();
        for &length in &lengths {
            row.push_document(&vec![9; length], &vec![1.0; length]);
        }
        let predicted: usize = lengths.iter().map(|length| length.saturating_sub(1)).sum();
        prop_assert_eq!(row.len(), predicted);
        prop_assert_eq!(row.documents(), lengths.iter().filter(|&&length| length > 1).count());
    }
}
