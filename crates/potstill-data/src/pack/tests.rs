//! Nothing that counts is lost, and rows are full.

use proptest::prelude::*;

use super::*;

fn document(tokens: std::ops::Range<u32>) -> Document {
    let tokens: Vec<u32> = tokens.collect();
    let weights = vec![1.0; tokens.len()];
    Document::new(tokens, weights)
}

fn lengths(packed: &Packed) -> Vec<usize> {
    packed.rows.iter().map(TokenRow::len).collect()
}

#[test]
fn the_longest_come_first_and_fill_the_fullest_row() {
    let documents = [
        document(0..4),
        document(10..18),
        document(20..23),
        document(30..36),
    ];
    let packed = pack(&documents, 8, &PackOptions::default()).unwrap();
    // 7, then 5, then 3 beside the 5, then 2 in a row of its own: the 7 leaves room for only 1.
    assert_eq!(lengths(&packed), [7, 8, 2]);
    assert_eq!(packed.rows[1].tokens(), [30, 31, 32, 33, 34, 0, 1, 2]);
    assert_eq!(packed.rows[1].segments(), [1, 1, 1, 1, 1, 2, 2, 2]);
    assert_eq!(
        packed.report.to_string(),
        "4 documents in 3 rows of 8 positions, 17 filled (17 count), 29.2 % padding"
    );
}

#[test]
fn one_per_row_keeps_the_order() {
    let options = PackOptions {
        packing: Packing::OnePerRow,
        ..PackOptions::default()
    };
    let packed = pack(&[document(0..3), document(5..9)], 8, &options).unwrap();
    assert_eq!(lengths(&packed), [2, 3]);
    assert_eq!(packed.rows[0], TokenRow::document(&[0, 1, 2], &[1.0; 3]));
}

#[test]
fn a_long_document_is_split_so_that_each_token_is_predicted_once() {
    let options = PackOptions {
        packing: Packing::OnePerRow,
        ..PackOptions::default()
    };
    let packed = pack(&[document(0..10)], 4, &options).unwrap();
    let targets: Vec<&[u32]> = packed.rows.iter().map(TokenRow::targets).collect();
    assert_eq!(targets, [&[1, 2, 3, 4][..], &[5, 6, 7, 8], &[9]]);
    assert_eq!(packed.rows[1].tokens(), [4, 5, 6, 7]);
    assert_eq!(packed.report.documents_split, 1);
}

#[test]
fn an_overlap_is_context_that_does_not_count_again() {
    let options = PackOptions {
        packing: Packing::OnePerRow,
        overlap: 2,
    };
    let packed = pack(&[document(0..10)], 4, &options).unwrap();
    let targets: Vec<&[u32]> = packed.rows.iter().map(TokenRow::targets).collect();
    assert_eq!(
        targets,
        [&[1, 2, 3, 4][..], &[3, 4, 5, 6], &[5, 6, 7, 8], &[7, 8, 9]]
    );
    assert_eq!(packed.rows[1].weights(), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(packed.rows[3].weights(), [0.0, 0.0, 1.0]);
    assert_eq!(packed.report.positions_counted, 9);
}

#[test]
fn what_does_not_count_takes_no_room_and_is_reported() {
    let mut prompt_heavy = document(0..10);
    prompt_heavy.weights[..6].fill(0.0);
    let documents = [
        prompt_heavy,
        Document::new(vec![1, 2], vec![1.0, 0.0]),
        document(0..1),
    ];
    let packed = pack(&documents, 4, &PackOptions::default()).unwrap();
    assert_eq!(packed.report.windows_left_out, 1);
    assert_eq!(packed.report.documents_left_out, 2);
    assert_eq!(packed.report.positions_counted, 4);
}

#[test]
fn an_overlap_as_long_as_a_row_is_refused() {
    for (seq_len, overlap) in [(0, 0), (4, 4), (4, 9)] {
        let options = PackOptions {
            overlap,
            ..PackOptions::default()
        };
        assert!(matches!(
            pack(&[], seq_len, &options),
            Err(Error::RowLength { .. })
        ));
    }
}

proptest! {
    #[test]
    fn no_token_that_counts_is_lost_or_doubled(
        documents in prop::collection::vec(
            prop::collection::vec((0u32..50, prop_oneof![Just(0.0f32), Just(1.0), Just(0.5)]), 0..30),
            0..12,
        ),
        seq_len in 1usize..12,
        overlap in 0usize..11,
        one_per_row in any::<bool>(),
    ) {
        let overlap = overlap.min(seq_len - 1);
        let packing = if one_per_row { Packing::OnePerRow } else { Packing::BestFit };
        let documents: Vec<Document> = documents
            .into_iter()
            .map(|document| {
                let (tokens, weights) = document.into_iter().unzip();
                Document::new(tokens, weights)
            })
            .collect();
        let packed = pack(&documents, seq_len, &PackOptions { packing, overlap }).unwrap();
        prop_assert!(packed.rows.iter().all(|row| !row.is_empty() && row.len() <= seq_len));

        // Each counted prediction with the token before it.
        type Counted = Vec<(u32, u32, u32)>;
        let mut expected: Counted = documents
            .iter()
            .flat_map(|document| {
                let pairs = document.tokens.windows(2).zip(&document.weights[1.min(document.weights.len())..]);
                pairs.map(|(pair, weight)| (pair[0], pair[1], weight.to_bits())).collect::<Counted>()
            })
            .filter(|(_, _, weight)| *weight != 0)
            .collect();
        let mut found: Counted = packed
            .rows
            .iter()
            .flat_map(|row| {
                let tokens = row.tokens().iter().zip(row.targets()).zip(row.weights());
                tokens.map(|((token, target), weight)| (*token, *target, weight.to_bits()))
            })
            .filter(|(_, _, weight)| *weight != 0)
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(packed.report.positions_counted, expected.len());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn best_fit_leaves_no_two_rows_that_fit_into_one(
        lengths in prop::collection::vec(2u32..12, 1..40),
    ) {
        let documents: Vec<Document> = lengths.iter().map(|&len| document(0..len)).collect();
        let packed = pack(&documents, 12, &PackOptions::default()).unwrap();
        let half_empty = packed.rows.iter().filter(|row| row.len() <= 6).count();
        prop_assert!(half_empty <= 1, "{:?}", packed.rows.iter().map(TokenRow::len).collect::<Vec<_>>());
    }
}
