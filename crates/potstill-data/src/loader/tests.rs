//! Order, epochs and resuming.

use potstill_testkit as _;
use proptest::prelude::*;

use super::*;

fn rows(count: u32) -> Vec<TokenRow> {
    (0..count)
        .map(|first| TokenRow::document(&[first, 7], &[1.0; 2]))
        .collect()
}

/// The first token of each row of each batch.
fn batches(loader: &mut Loader, count: usize) -> Vec<Vec<u32>> {
    let first = |rows: Vec<TokenRow>| rows.iter().map(|row| row.tokens()[0]).collect();
    std::iter::from_fn(|| loader.next_rows())
        .take(count)
        .map(first)
        .collect()
}

fn loader(count: u32, options: LoaderOptions) -> Loader {
    Loader::new(rows(count), options).unwrap()
}

#[test]
fn in_order_the_rows_come_once() {
    let mut loader = loader(5, LoaderOptions::in_order(2));
    assert_eq!(loader.batches_per_epoch(), 3);
    assert_eq!(batches(&mut loader, 9), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(loader.next_rows(), None);
    assert_eq!(loader.next_rows(), None);
}

#[test]
fn an_incomplete_batch_can_be_left_out() {
    let options = LoaderOptions {
        drop_last: true,
        epochs: Some(2),
        ..LoaderOptions::in_order(2)
    };
    let mut loader = loader(5, options);
    assert_eq!(loader.batches_per_epoch(), 2);
    assert_eq!(batches(&mut loader, 9), [[0, 1], [2, 3], [0, 1], [2, 3]]);
}

#[test]
fn every_epoch_has_each_row_once_in_an_order_of_its_own() {
    let mut loader = loader(20, LoaderOptions::shuffled(6, 3));
    let epochs: Vec<Vec<u32>> = (0..3).map(|_| batches(&mut loader, 4).concat()).collect();
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(epochs[1], epochs[2]);
    for mut epoch in epochs {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn the_order_of_a_seed_never_changes() {
    // A change here makes saved positions point to other rows.
    assert_eq!(epoch_order(8, Some(17), 0), EPOCH_0);
    assert_eq!(epoch_order(8, Some(17), 1), EPOCH_1);
    assert_ne!(epoch_order(8, Some(18), 0), EPOCH_0);
}

const EPOCH_0: [usize; 8] = [0, 7, 5, 2, 3, 1, 4, 6];
const EPOCH_1: [usize; 8] = [2, 6, 4, 0, 7, 5, 3, 1];

#[test]
fn a_position_on_other_rows_is_refused() {
    let state = loader(5, LoaderOptions::shuffled(2, 1)).state();
    let mut other = loader(6, LoaderOptions::shuffled(2, 1));
    assert!(matches!(
        other.restore(&state),
        Err(Error::OtherData { .. })
    ));
    let beyond = LoaderState {
        cursor: 7,
        ..other.state()
    };
    assert!(matches!(
        other.restore(&beyond),
        Err(Error::CursorBeyondEnd { cursor: 7, rows: 6 })
    ));
}

#[test]
fn a_loader_without_a_batch_is_refused() {
    let drop_last = LoaderOptions {
        drop_last: true,
        ..LoaderOptions::in_order(4)
    };
    for (count, options) in [
        (0, LoaderOptions::in_order(1)),
        (3, LoaderOptions::in_order(0)),
        (3, drop_last),
    ] {
        assert!(matches!(
            Loader::new(rows(count), options),
            Err(Error::NoBatch { .. })
        ));
    }
}

#[test]
fn a_batch_is_padded_to_its_longest_row() {
    let rows = vec![
        TokenRow::document(&[1, 2, 3], &[0.0, 0.0, 1.0]),
        TokenRow::document(&[4, 5], &[1.0; 2]),
    ];
    let mut loader = Loader::new(rows, LoaderOptions::in_order(2)).unwrap();
    let batch = loader.next_batch(9, &Device::default()).unwrap();
    assert_eq!(batch.dims(), [2, 2]);
    assert_eq!(
        batch.tokens.into_data().iter::<i64>().collect::<Vec<_>>(),
        [1, 2, 4, 9]
    );
    assert_eq!(
        batch
            .rows
            .indices
            .into_data()
            .iter::<i64>()
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

proptest! {
    #[test]
    fn a_restored_loader_goes_on_like_an_uninterrupted_one(
        count in 1u32..30,
        batch_size in 1usize..8,
        seed in any::<Option<u64>>(),
        drop_last in any::<bool>(),
        before in 0usize..20,
    ) {
        let options = LoaderOptions {
            batch_size: batch_size.min(count as usize),
            shuffle: seed,
            drop_last,
            epochs: Some(4),
        };
        let mut whole = loader(count, options);
        batches(&mut whole, before);
        let saved = serde_json::to_string(&whole.state()).unwrap();
        let mut resumed = loader(count, LoaderOptions { shuffle: Some(99), ..options });
        resumed.restore(&serde_json::from_str(&saved).unwrap()).unwrap();
        prop_assert_eq!(batches(&mut resumed, 40), batches(&mut whole, 40));
    }
}
