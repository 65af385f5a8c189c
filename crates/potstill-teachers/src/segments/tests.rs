//! Finding segments, and cutting them out of a batch.

use super::*;
use potstill_core::{CausalLm, TokenRow};
use potstill_testkit::{TinyLm, plain_device, values};

fn batch() -> TokenBatch {
    let mut first = TokenRow::document(&[1, 2, 3, 4], &[1.0, 1.0, 0.0, 1.0]);
    first.push_document(&[5, 6, 7], &[1.0; 3]);
    let second = TokenRow::document(&[8, 9, 1], &[0.0, 0.0, 2.0]);
    TokenBatch::from_rows(&[first, second], 0, &plain_device())
}

#[test]
fn rows_are_told_by_segment_and_position() {
    let host = HostBatch::read(&batch()).unwrap();
    let found: Vec<_> = host
        .segments()
        .iter()
        .map(|segment| {
            (
                host.tokens(segment),
                segment.rows.clone(),
                segment.positions.as_slice(),
            )
        })
        .collect();
    let expected: [(&[u32], Range<usize>, &[u32]); 3] = [
        (&[1, 2, 3], 0..2, &[0, 2]),
        (&[5, 6], 2..4, &[0, 1]),
        (&[8, 9], 4..5, &[1]),
    ];
    assert_eq!(found, expected);
    assert_eq!((host.rows(), host.shape()), (5, [2, 5]));
}

#[test]
fn a_model_says_the_same_about_a_segment_by_itself() {
    let (batch, model) = (batch(), TinyLm::new(11, 8, 2, 3, &plain_device()));
    let host = HostBatch::read(&batch).unwrap();
    let whole = values(&model.row_logits(&batch));
    for wanted in [vec![0], vec![1], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
        let part = host.only(&wanted, &plain_device()).unwrap().batch;
        let expected: Vec<f64> = wanted
            .iter()
            .flat_map(|&number| host.segments()[number].rows.clone())
            .flat_map(|row| whole[row * 11..(row + 1) * 11].to_vec())
            .collect();
        assert_eq!(values(&model.row_logits(&part)), expected, "{wanted:?}");
    }
}

#[test]
fn a_part_knows_where_its_positions_were() {
    let host = HostBatch::read(&batch()).unwrap();
    let part = host.only(&[1, 2], &plain_device()).unwrap();
    assert_eq!(part.places, [Some(3), Some(4), Some(5), Some(6)]);
    let part = host.only(&[0, 2], &plain_device()).unwrap();
    assert_eq!(
        part.places,
        [Some(0), Some(1), Some(2), Some(5), Some(6), None]
    );
}

#[test]
fn padding_on_the_left_and_segments_that_repeat_a_number_are_told_apart() {
    let device = plain_device();
    let batch = TokenBatch::new(
        [2, 4],
        &[0, 0, 3, 4, 5, 6, 7, 8],
        &[0, 0, 1, 1, 1, 1, 2, 2],
        &[0, 0, 4, 5, 6, 7, 8, 9],
        &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        &device,
    );
    let host = HostBatch::read(&batch).unwrap();
    let spans: Vec<_> = host.segments().iter().map(|s| s.span.clone()).collect();
    assert_eq!(spans, [2..4, 4..6, 6..8]);
    assert_eq!(host.segments()[2].positions, [1]);
}

#[test]
fn segments_without_a_row_that_counts_are_no_batch() {
    let row = TokenRow::document(&[1, 2], &[0.0, 0.0]);
    let batch = TokenBatch::from_rows(&[row], 0, &plain_device());
    let host = HostBatch::read(&batch).unwrap();
    assert!(host.only(&[0], &plain_device()).is_none());
    assert!(host.only(&[], &plain_device()).is_none());
}
