//! What comes back of a row, and rows that are damaged.

use proptest::prelude::*;

use super::*;

struct Decoded {
    ids: Vec<i32>,
    log_probs: Vec<f32>,
    tail: f32,
}

fn decode(code: TopKCode, row: &[u8]) -> Result<Decoded, String> {
    let (mut ids, mut log_probs, mut tail) = (vec![0; code.k], vec![0.0; code.k], [0.0]);
    let mut out = RowOut {
        token_ids: &mut ids,
        log_probs: &mut log_probs,
        tail: &mut tail,
    };
    code.decode(row, &mut out, &mut Vec::new())?;
    Ok(Decoded {
        ids,
        log_probs,
        tail: tail[0],
    })
}

/// `Σ p (log p − log q)` over the named tokens and the tail.
fn divergence(row: &LogProbs, decoded: &Decoded) -> f64 {
    let named: f64 = decoded
        .ids
        .iter()
        .zip(&decoded.log_probs)
        .map(|(&id, &log_q)| {
            let log_p = row.log_prob(id as u32);
            log_p.exp() * (log_p - f64::from(log_q))
        })
        .sum();
    let (_, tail) = row.top(decoded.ids.len());
    if tail == f64::NEG_INFINITY {
        return named;
    }
    named + tail.exp() * (tail - f64::from(decoded.tail))
}

#[test]
fn fifty_of_smollms_tokens_take_109_bytes() {
    assert_eq!(TopKCode::new(50, 5, 49_152).row_bytes(), 109);
    assert_eq!(TopKCode::new(50, 16, 49_152).row_bytes(), 178);
    assert_eq!(TopKCode::new(50, 5, 151_936).row_bytes(), 119);
}

#[test]
fn a_forbidden_token_comes_back_forbidden() {
    let logits = [1.0, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
    let row = LogProbs::of_logits(&logits).unwrap();
    let decoded = decode(TopKCode::new(3, 8, 4), &TopKCode::new(3, 8, 4).encode(&row)).unwrap();
    assert_eq!(decoded.ids, [0, 2, 1]);
    assert_eq!(decoded.log_probs[2], f32::NEG_INFINITY);
    assert_eq!(decoded.tail, f32::NEG_INFINITY);
    assert!(
        (decoded.log_probs[0] + 0.3133).abs() < 0.1,
        "{:?}",
        decoded.log_probs
    );
}

#[test]
fn one_certain_token_is_kept() {
    let mut logits = vec![-80.0f32; 1000];
    logits[999] = 0.0;
    let row = LogProbs::of_logits(&logits).unwrap();
    let code = TopKCode::new(1, 5, 1000);
    let decoded = decode(code, &code.encode(&row)).unwrap();
    assert_eq!(decoded.ids[0], 999);
    assert!(decoded.log_probs[0].abs() < 1e-6);
    assert!(decoded.tail.is_finite() && decoded.tail < -30.0);
}

#[test]
fn a_single_token_far_below_the_first_level_is_not_more_than_certain() {
    let bytes = [0, 205, 2, 144, 146];
    let code = TopKCode::new(1, 5, 13);
    let decoded = decode(code, &bytes[..code.row_bytes()]).unwrap();
    assert!(decoded.log_probs[0] <= 0.0, "{:?}", decoded.log_probs);
}

fn rows() -> impl Strategy<Value = (Vec<f32>, usize, usize)> {
    (1usize..400).prop_flat_map(|vocab| {
        let logits = proptest::collection::vec(-12.0f32..12.0, vocab);
        (logits, 1..=vocab, 2usize..=16)
    })
}

proptest! {
    #[test]
    fn the_tokens_are_exact_and_what_comes_back_is_a_distribution_near_the_true_one(
        (logits, k, level_bits) in rows()
    ) {
        let row = LogProbs::of_logits(&logits).unwrap();
        let code = TopKCode::new(k, level_bits, logits.len());
        let bytes = code.encode(&row);
        prop_assert_eq!(bytes.len(), code.row_bytes());
        let decoded = decode(code, &bytes).unwrap();

        let (mut expected, _) = row.top(k);
        let mut found: Vec<u32> = decoded.ids.iter().map(|&id| id as u32).collect();
        prop_assert!(decoded.log_probs.is_sorted_by(|a, b| a >= b));
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);

        let named: f64 = decoded.log_probs.iter().map(|&value| f64::from(value).exp()).sum();
        prop_assert!((named + f64::from(decoded.tail).exp() - 1.0).abs() < 1e-5, "{}", named);

        // Twice the step at worst: half of it from rounding, as much from making the sum 1 again.
        let step = 24.125 / f64::from(code.last_level());
        prop_assert!(divergence(&row, &decoded) < step * step / 4.0 + 1e-5);
    }

    #[test]
    fn no_bytes_make_it_panic_or_name_a_token_that_is_not_there(
        bytes in proptest::collection::vec(any::<u8>(), 24), vocab in 9usize..40, k in 1usize..9
    ) {
        let code = TopKCode::new(k, 5, vocab);
        if let Ok(decoded) = decode(code, &bytes[..code.row_bytes().min(24)]) {
            prop_assert!(decoded.ids.iter().all(|&id| (0..vocab as i32).contains(&id)));
            prop_assert!(decoded.log_probs.iter().all(|value| *value <= 0.0));
        }
    }
}
