//! Few tokens against all of them.

use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_gradient, finite_differences, logits, normals, tensor_f64,
    uniforms, values,
};
use proptest::prelude::*;

use super::*;

const ROWS: usize = 3;
const VOCAB: usize = 7;

fn divergences() -> Vec<Divergence> {
    vec![
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::generalized_jsd(0.3).unwrap(),
        Divergence::skew_reverse_kl(0.1).unwrap(),
        Divergence::TotalVariation,
    ]
}

/// The top k of a dense teacher.
fn top_k(teacher: &[f64], k: usize) -> SparseRows {
    let p = Softmax::new(tensor_f64(teacher, [teacher.len() / VOCAB, VOCAB]), 1.0);
    let (log_probs, token_ids) = p.log_probs.topk_with_indices(k, 1);
    let named = one_of(token_ids.clone(), VOCAB);
    let tail = row_sum(p.probs.mask_fill(named, 0.0)).log();
    SparseRows {
        token_ids,
        log_probs,
        tail: Some(tail),
    }
}

fn sampled(teacher: &[f64], ids: Vec<i32>, k: usize) -> SparseRows {
    let rows = ids.len() / k;
    let p = Softmax::new(tensor_f64(teacher, [rows, VOCAB]), 1.0);
    let ids = TensorData::new(ids, [rows, k]);
    let token_ids = Tensor::from_data(ids, &p.log_probs.device());
    SparseRows {
        log_probs: p.log_probs.gather(1, token_ids.clone()),
        token_ids,
        tail: None,
    }
}

#[test]
fn closed_form_and_autodiff_and_finite_differences_agree() {
    let (student, teacher) = (normals(ROWS * VOCAB, 2.0, 1), normals(ROWS * VOCAB, 2.0, 2));
    let mut losses: Vec<SparseDivergence> = divergences()
        .into_iter()
        .map(|divergence| SparseDivergence::WithTail { divergence })
        .collect();
    losses.extend([
        SparseDivergence::Renormalized,
        SparseDivergence::Truncated,
        SparseDivergence::Sampled,
    ]);
    let shape = [ROWS, VOCAB];
    for loss in losses {
        let teacher = match loss {
            SparseDivergence::Sampled => sampled(&teacher, vec![0, 3, 3, 1, 1, 1, 6, 5, 0], 3),
            _ => top_k(&teacher, 3),
        };
        let sum = |student: Tensor<2>| loss.per_row(student, &teacher).sum();
        let (value, closed) = loss.value_and_gradient(tensor_f64(&student, shape), &teacher);
        let (expected, by_autodiff) = autodiff_gradient(sum, &student, shape, FloatDType::F64);
        assert_close(&values(&value.sum()), &[expected], Tolerance::F64);
        assert_close(&values(&closed), &by_autodiff, Tolerance::F64);
        let tolerance = Tolerance {
            absolute: 1e-7,
            relative: 1e-6,
        };
        assert_close(
            &values(&closed),
            &finite_differences(sum, &student, shape),
            tolerance,
        );
    }
}

#[test]
fn the_whole_vocabulary_is_the_dense_divergence() {
    let (student, teacher) = (normals(ROWS * VOCAB, 2.0, 3), normals(ROWS * VOCAB, 2.0, 4));
    let shape = [ROWS, VOCAB];
    let dense = |divergence: Divergence| {
        divergence.value_and_gradient(
            tensor_f64(&student, shape),
            tensor_f64(&teacher, shape),
            1.0,
        )
    };
    let check = |loss: SparseDivergence, divergence: Divergence| {
        let all = top_k(&teacher, VOCAB);
        let (value, gradient) = loss.value_and_gradient(tensor_f64(&student, shape), &all);
        let (expected, expected_gradient) = dense(divergence);
        assert_close(&values(&value), &values(&expected), Tolerance::F64);
        assert_close(
            &values(&gradient),
            &values(&expected_gradient),
            Tolerance::F64,
        );
    };
    for divergence in divergences() {
        check(SparseDivergence::WithTail { divergence }, divergence);
    }
    check(SparseDivergence::Renormalized, Divergence::ForwardKl);
    check(SparseDivergence::Truncated, Divergence::ForwardKl);
}

#[test]
fn values_agree_with_an_independent_reference() {
    let teacher = tensor_f64::<2>(
        &[2.0, 1.0, 0.0, -1.0, 0.5, 0.0, 3.0, -2.0, 1.0, 0.0],
        [2, 5],
    );
    let student = tensor_f64::<2>(
        &[1.0, 1.5, -0.5, 0.0, 0.2, 0.5, 1.0, -1.0, 2.0, -0.3],
        [2, 5],
    );
    let p = Softmax::new(teacher, 1.0);
    let (log_probs, token_ids) = p.log_probs.topk_with_indices(2, 1);
    let tail = (-row_sum(log_probs.clone().exp()) + 1.0).log();
    let top = SparseRows {
        token_ids,
        log_probs,
        tail: Some(tail),
    };
    let with_tail = SparseDivergence::WithTail {
        divergence: Divergence::ForwardKl,
    };
    for (loss, expected) in [
        (SparseDivergence::Renormalized, 0.829326294),
        (with_tail, 0.511583110),
    ] {
        let mean = loss.per_row(student.clone(), &top).mean();
        assert_close(
            &[mean.into_scalar::<f64>()],
            &[expected],
            Tolerance::absolute(1e-9),
        );
    }
}

#[test]
fn sampling_is_unbiased_within_its_confidence_interval() {
    let (student, teacher) = (normals(VOCAB, 1.0, 5), normals(VOCAB, 1.0, 6));
    let p: Vec<f64> = {
        let total: f64 = teacher.iter().map(|z| z.exp()).sum();
        teacher.iter().map(|z| z.exp() / total).collect()
    };
    let draws = 4000;
    let ids: Vec<i32> = uniforms(draws, 7)
        .into_iter()
        .map(|uniform| {
            let cumulative = p.iter().scan(0.0, |sum, probability| {
                *sum += probability;
                Some(*sum)
            });
            cumulative.take_while(|sum| *sum <= uniform).count() as i32
        })
        .collect();
    let shape = [1, VOCAB];
    let dense = Divergence::ForwardKl.value_and_gradient(
        tensor_f64(&student, shape),
        tensor_f64(&teacher, shape),
        1.0,
    );
    let rows = sampled(&teacher, ids, draws);
    let drawn = SparseDivergence::Sampled.value_and_gradient(tensor_f64(&student, shape), &rows);
    // Beyond four standard errors one draw in 16000 would fall.
    let expected = values(&dense.1);
    for (token, (actual, expected)) in values(&drawn.1).iter().zip(&expected).enumerate() {
        let error = (p[token] * (1.0 - p[token]) / draws as f64).sqrt();
        assert!((actual - expected).abs() < 4.0 * error, "token {token}");
    }
    let log_ratio: Vec<f64> = {
        let log_q = values(&Softmax::new(tensor_f64(&student, shape), 1.0).log_probs);
        p.iter()
            .zip(log_q)
            .map(|(p, log_q)| p.ln() - log_q)
            .collect()
    };
    let mean = dense.0.into_scalar::<f64>();
    let variance: f64 = p
        .iter()
        .zip(&log_ratio)
        .map(|(p, r)| p * (r - mean).powi(2))
        .sum();
    let error = (variance / draws as f64).sqrt();
    assert!((drawn.0.into_scalar::<f64>() - mean).abs() < 4.0 * error);
}

#[test]
#[should_panic(expected = "top_k_truncated needs the top k tokens, not samples")]
fn a_support_of_the_wrong_kind_is_refused() {
    let teacher = sampled(&normals(VOCAB, 1.0, 5), vec![1, 2], 2);
    let student = tensor_f64(&normals(VOCAB, 1.0, 6), [1, VOCAB]);
    let _ = SparseDivergence::Truncated.per_row(student, &teacher);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_bucket_bounds_the_whole_from_below_and_more_tokens_bound_it_tighter(
        student in logits(ROWS, VOCAB, 8.0),
        teacher in logits(ROWS, VOCAB, 8.0),
    ) {
        let shape = [ROWS, VOCAB];
        for divergence in divergences() {
            let mut previous = vec![0.0; ROWS];
            for k in 1..=VOCAB {
                let loss = SparseDivergence::WithTail { divergence };
                let value = values(&loss.per_row(tensor_f64(&student, shape), &top_k(&teacher, k)));
                for (value, previous) in value.iter().zip(&previous) {
                    prop_assert!(*value >= previous - 1e-9, "{divergence:?} at {k}");
                }
                previous = value;
            }
        }
    }
}
