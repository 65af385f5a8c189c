//! Draws are those of the distribution, and come back as they were.

use proptest::prelude::*;

use super::super::log_probs::LogProbs;
use super::*;

fn encode(code: SampledCode, log_probs: &LogProbs, position: u32) -> EncodedRow {
    code.encode(&RowToKeep {
        log_probs,
        segment: 7,
        position,
    })
}

fn decode(code: SampledCode, row: &EncodedRow) -> Result<(Vec<i32>, Vec<f32>), String> {
    let (mut token_ids, mut log_probs) = (vec![0; code.draws], vec![0.0; code.draws]);
    let mut out = RowOut {
        token_ids: &mut token_ids,
        log_probs: &mut log_probs,
        tail: &mut [],
    };
    code.decode(&row.fixed, &row.token_ids, &mut out)?;
    Ok((token_ids, log_probs))
}

#[test]
fn the_expected_share_of_a_token_is_its_probability() {
    let probs = [0.5f32, 0.02, 0.18, 0.3];
    let row = LogProbs::of_logits(&probs.map(f32::ln)).unwrap();
    let code = SampledCode::new(16, 3, 4);
    let rows = 4000;
    let mut counts = [0.0f64; 4];
    for position in 0..rows {
        for id in decode(code, &encode(code, &row, position)).unwrap().0 {
            counts[id as usize] += 1.0;
        }
    }
    let total = f64::from(rows) * 16.0;
    for (count, prob) in counts.iter().zip(probs) {
        let prob = f64::from(prob);
        let deviation = (prob * (1.0 - prob) / total).sqrt();
        assert!((count / total - prob).abs() < 4.0 * deviation, "{counts:?}");
    }
}

#[test]
fn seed_and_text_decide_the_draws() {
    let row = LogProbs::of_logits(&[0.0; 200]).unwrap();
    let drawn = |seed, position| {
        let code = SampledCode::new(20, seed, 200);
        decode(code, &encode(code, &row, position)).unwrap().0
    };
    assert_eq!(drawn(1, 5), drawn(1, 5));
    assert_ne!(drawn(1, 5), drawn(2, 5));
    assert_ne!(drawn(1, 5), drawn(1, 6));
}

#[test]
fn ids_take_the_bytes_that_the_vocabulary_needs() {
    for (vocab, bytes) in [
        (1, 2),
        (1 << 16, 2),
        ((1 << 16) + 1, 3),
        (1 << 24, 3),
        ((1 << 24) + 1, 4),
    ] {
        assert_eq!(SampledCode::new(1, 0, vocab).id_bytes(), bytes, "{vocab}");
    }
}

proptest! {
    #[test]
    fn draws_come_back_with_the_mean_of_their_log_probabilities(
        logits in proptest::collection::vec(-8.0f32..8.0, 1..300), draws in 1usize..80
    ) {
        let row = LogProbs::of_logits(&logits).unwrap();
        let code = SampledCode::new(draws, 11, logits.len());
        let encoded = encode(code, &row, 0);
        prop_assert_eq!(encoded.fixed.len(), code.row_bytes());
        prop_assert_eq!(encoded.token_ids.len(), code.unique(&encoded.fixed) * code.id_bytes());
        let (ids, log_probs) = decode(code, &encoded).unwrap();
        prop_assert!(ids.is_sorted());
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / draws as f64;
        let expected = mean(&mut ids.iter().map(|&id| row.log_prob(id as u32)));
        let found = mean(&mut log_probs.iter().map(|&value| f64::from(value)));
        prop_assert!((found - expected).abs() < 0.01, "{} {}", found, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(
        fixed in proptest::collection::vec(any::<u8>(), 5), ids in proptest::collection::vec(any::<u8>(), 0..60)
    ) {
        let code = SampledCode::new(20, 0, 50);
        let row = EncodedRow { fixed, token_ids: ids };
        if let Ok((ids, _)) = decode(code, &row) {
            prop_assert!(ids.iter().all(|id| (0..50).contains(id)));
        }
    }
}
