//! In f64 the portable body runs, in f32 that of flex: both must give the same.

use burn::tensor::{FloatDType, IndexingUpdateOp};
use potstill_testkit::{
    Tolerance, assert_close, autodiff_device, normals, plain_device, tensor, uniforms, values,
};
use proptest::prelude::*;

use super::*;
use crate::head_rows::HeadRows;
use crate::{Blend, CrossEntropy, Divergence, HardPart, SoftPart};

const TEACHER_WIDTH: usize = 3;

/// What is compared with what.
#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    width: usize,
    vocab: usize,
    chunk_rows: usize,
    scale: f64,
    softcap: Option<f64>,
    has_bias: bool,
    weights: Option<Vec<f64>>,
    /// Multiplies hidden states, so that logits are of about this size.
    size: f64,
    seed: u64,
}

impl Case {
    fn of(rows: usize, vocab: usize) -> Self {
        Self {
            rows,
            width: 5,
            vocab,
            chunk_rows: 4,
            scale: 1.0,
            softcap: None,
            has_bias: false,
            weights: None,
            size: 1.0,
            seed: 7,
        }
    }
}

/// The kinds of teacher.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Deferred,
    Dense,
    TopK(usize),
    Sampled(usize),
}

/// A loss of either kind.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Blend(Blend),
    Sparse(SparseDivergence),
}

/// Values of the rows that count, their weighted sum, and all gradients.
fn run(case: &Case, loss: Loss, kind: Kind, dtype: FloatDType) -> [Vec<f64>; 5] {
    let (device, plain) = (autodiff_device(), plain_device());
    let &Case {
        rows, width, vocab, ..
    } = case;
    let leaf = |shape: [usize; 2], scale, seed| {
        let values = normals(shape[0] * shape[1], scale, case.seed + seed);
        tensor::<2>(&values, shape, dtype, &device).require_grad()
    };
    let hidden = leaf([rows, width], case.size, 0);
    let bias = case.has_bias.then(|| {
        let values = normals(vocab, 1.0, case.seed + 2);
        tensor::<1>(&values, [vocab], dtype, &device).require_grad()
    });
    let head = LmHead {
        weight: leaf([vocab, width], 0.5, 1),
        bias: bias.clone(),
        scale: case.scale,
        softcap: case.softcap,
    };
    let teacher = teacher(case, kind, dtype);
    let targets: Vec<i64> = uniforms(rows, case.seed + 5)
        .iter()
        .map(|uniform| (uniform * vocab as f64) as i64)
        .collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [rows]), &plain);
    let weights =
        (case.weights.as_ref()).map(|weights| tensor::<1>(&weights[..rows], [rows], dtype, &plain));
    let compared = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &teacher,
        targets: Some(&targets),
        chunk_rows: Some(case.chunk_rows),
    };
    let (per_row, sum) = match loss {
        Loss::Blend(blend) => (
            compared.per_row(&blend),
            compared.weighted_sum(&blend, weights.as_ref()),
        ),
        Loss::Sparse(sparse) => (
            compared.sparse_per_row(&sparse),
            compared.sparse_weighted_sum(&sparse, weights.as_ref()),
        ),
    };
    let gradients = (sum.clone() * 0.7).backward();
    let of = |gradient: Option<Tensor<2>>| gradient.map_or(Vec::new(), |g| values(&g));
    [
        values(&per_row),
        values(&sum),
        of(hidden.grad(&gradients)),
        of(head.weight.grad(&gradients)),
        bias.and_then(|bias| bias.grad(&gradients))
            .map_or(Vec::new(), |g| values(&g)),
    ]
}

fn teacher(case: &Case, kind: Kind, dtype: FloatDType) -> Prediction {
    let plain = plain_device();
    let &Case { rows, vocab, .. } = case;
    let of = |shape: [usize; 2], scale, seed| {
        let values = normals(shape[0] * shape[1], scale, case.seed + seed);
        tensor::<2>(&values, shape, dtype, &plain)
    };
    let hidden = of([rows, TEACHER_WIDTH], case.size, 3);
    let head = LmHead {
        softcap: case.softcap,
        ..LmHead::new(of([vocab, TEACHER_WIDTH], 0.5, 4))
    };
    let logits = || head.logits(hidden.clone());
    let log_p = || crate::log_space::Softmax::new(logits(), 1.0);
    match kind {
        Kind::Deferred => Prediction::Deferred { hidden, head },
        Kind::Dense => {
            // Every row forbids a token.
            let forbidden = Tensor::<2, Int>::zeros([rows, 1], &plain);
            let infinity = Tensor::full([rows, 1], f64::NEG_INFINITY, (&plain, logits().dtype()));
            Prediction::Dense(logits().scatter(1, forbidden, infinity, IndexingUpdateOp::Add))
        }
        Kind::TopK(k) => {
            let p = log_p();
            let (log_probs, token_ids) = p.log_probs.topk_with_indices(k, 1);
            let named = crate::log_space::one_of(token_ids.clone(), vocab);
            let tail = crate::log_space::row_sum(p.probs.mask_fill(named, 0.0)).log();
            Prediction::Sparse {
                token_ids,
                log_probs,
                support: Support::TopK { tail },
            }
        }
        Kind::Sampled(k) => {
            let ids: Vec<i64> = uniforms(rows * k, case.seed + 6)
                .iter()
                .map(|uniform| (uniform * vocab as f64) as i64)
                .collect();
            let token_ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, k]), &plain);
            Prediction::Sparse {
                log_probs: log_p().log_probs.gather(1, token_ids.clone()),
                token_ids,
                support: Support::Sampled,
            }
        }
    }
}

fn check(case: &Case, loss: Loss, kind: Kind) {
    let fused = run(case, loss, kind, FloatDType::F32);
    let portable = run(case, loss, kind, FloatDType::F64);
    for (fused, portable) in fused.iter().zip(&portable) {
        // A gradient is a sum of terms as large as its largest value, and rounded as they are.
        let largest = portable.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
        let tolerance = Tolerance {
            absolute: 1e-5 * largest,
            relative: 2e-5,
        };
        assert_close(fused, portable, tolerance);
    }
}

fn divergences() -> Vec<Divergence> {
    let built = [
        Divergence::symmetric_kl(0.3),
        Divergence::generalized_jsd(0.0),
        Divergence::generalized_jsd(0.3),
        Divergence::generalized_jsd(1.0),
        Divergence::skew_forward_kl(0.1),
        Divergence::skew_reverse_kl(0.1),
        Divergence::alpha_beta(0.2, 0.7),
        Divergence::alpha_beta(0.5, 0.0),
        Divergence::alpha_beta(0.0, 0.5),
        Divergence::alpha_beta(0.5, -0.5),
        Divergence::alpha_beta(0.0, 0.0),
        Divergence::adaptive_kl(0.5),
    ];
    let plain = [
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::TotalVariation,
        Divergence::SquaredHellinger,
    ];
    plain
        .into_iter()
        .chain(built.map(|divergence| divergence.expect("its parameters are in their range")))
        .collect()
}

fn hinton(temperature: f64) -> Loss {
    Loss::Blend(Blend {
        soft: Some(SoftPart {
            divergence: Divergence::ForwardKl,
            temperature,
            factor: 0.3 * temperature * temperature,
        }),
        hard: Some(HardPart {
            cross_entropy: CrossEntropy { smoothing: 0.1 },
            factor: 0.7,
        }),
    })
}

fn cross_entropy(smoothing: f64) -> Loss {
    Loss::Blend(Blend::hard(CrossEntropy { smoothing }))
}

#[test]
fn every_divergence_agrees_with_its_portable_body() {
    for divergence in divergences() {
        for (kind, temperature) in [(Kind::Deferred, 1.0), (Kind::Deferred, 2.5)] {
            let loss = Loss::Blend(Blend::soft(divergence, temperature));
            check(&Case::of(7, 97), loss, kind);
        }
    }
}

#[test]
fn a_forbidden_token_agrees_where_it_is_finite() {
    for divergence in divergences() {
        // These are as large as the bound on log-probabilities allows, and so is their rounding.
        let unbounded = matches!(
            divergence.canonical(),
            Divergence::ReverseKl
                | Divergence::SymmetricKl { .. }
                | Divergence::AdaptiveKl { .. }
                | Divergence::AlphaBeta { .. }
        );
        if !unbounded {
            let loss = Loss::Blend(Blend::soft(divergence, 1.0));
            check(&Case::of(5, 67), loss, Kind::Dense);
        }
    }
    let case = Case::of(5, 67);
    let loss = Loss::Blend(Blend::soft(Divergence::ReverseKl, 1.0));
    let fused = run(&case, loss, Kind::Dense, FloatDType::F32);
    let portable = run(&case, loss, Kind::Dense, FloatDType::F64);
    for (fused, portable) in fused.iter().zip(&portable) {
        let tolerance = Tolerance {
            absolute: 0.1,
            relative: 1e-4,
        };
        assert_close(fused, portable, tolerance);
    }
}

#[test]
fn a_sparse_teacher_agrees_with_its_portable_body() {
    let case = Case::of(6, 83);
    for divergence in divergences() {
        let loss = Loss::Sparse(SparseDivergence::WithTail { divergence });
        check(&case, loss, Kind::TopK(5));
    }
    check(
        &case,
        Loss::Sparse(SparseDivergence::Renormalized),
        Kind::TopK(5),
    );
    check(
        &case,
        Loss::Sparse(SparseDivergence::Truncated),
        Kind::TopK(5),
    );
    check(
        &case,
        Loss::Sparse(SparseDivergence::Sampled),
        Kind::Sampled(9),
    );
    let whole = SparseDivergence::WithTail {
        divergence: Divergence::ForwardKl,
    };
    check(&Case::of(6, 8), Loss::Sparse(whole), Kind::TopK(8));
}

#[test]
fn bias_and_scale_and_softcap_are_differentiated() {
    for (scale, softcap, has_bias) in [
        (0.3, None, false),
        (1.7, None, true),
        (1.0, Some(2.0), false),
        (1.3, Some(4.0), true),
    ] {
        let case = Case {
            scale,
            softcap,
            has_bias,
            ..Case::of(7, 53)
        };
        check(&case, hinton(2.0), Kind::Deferred);
        let loss = Loss::Blend(Blend::soft(Divergence::ReverseKl, 1.0));
        check(&case, loss, Kind::Deferred);
        let loss = Loss::Sparse(SparseDivergence::Truncated);
        check(&case, loss, Kind::TopK(4));
    }
}

#[test]
fn rows_without_weight_add_nothing() {
    for weights in [
        vec![0.0, 2.0, 0.0, 0.5, 1.0, 0.0, -1.0, 3.0, 0.0],
        vec![0.0; 9],
    ] {
        let case = Case {
            weights: Some(weights),
            ..Case::of(9, 41)
        };
        check(&case, hinton(1.0), Kind::Deferred);
        check(&case, hinton(3.0), Kind::Dense);
        let loss = Loss::Sparse(SparseDivergence::Renormalized);
        check(&case, loss, Kind::TopK(4));
    }
}

#[test]
fn logits_of_ten_thousand_stay_finite() {
    let case = Case {
        size: 1e4,
        ..Case::of(5, 101)
    };
    for divergence in divergences() {
        if matches!(divergence, Divergence::AlphaBeta { beta, .. } if beta < 0.0) {
            continue;
        }
        let loss = Loss::Blend(Blend::soft(divergence, 1.0));
        let results = run(&case, loss, Kind::Deferred, FloatDType::F32);
        let finite = results.iter().flatten().all(|value| value.is_finite());
        assert!(finite, "{divergence:?}");
    }
}

#[test]
fn a_student_that_is_not_a_number_does_not_hide_it() {
    let (device, plain) = (autodiff_device(), plain_device());
    let hidden = Tensor::<2>::full([1, 3], f32::NAN, &device).require_grad();
    let head = LmHead::new(Tensor::<2>::ones([40, 3], &device));
    let teacher = Prediction::Dense(Tensor::ones([1, 40], &plain));
    let targets = Tensor::<1, Int>::zeros([1], &plain);
    for divergence in divergences() {
        let rows = HeadRows {
            hidden: &hidden,
            head: &head,
            teacher: &teacher,
            targets: Some(&targets),
            chunk_rows: None,
        };
        let sum = rows.weighted_sum(&divergence, None);
        assert!(sum.into_scalar::<f32>().is_nan(), "{divergence:?}");
        let sum = rows.weighted_sum(&CrossEntropy::default(), None);
        assert!(sum.into_scalar::<f32>().is_nan());
    }
}

#[test]
fn only_what_is_wanted_is_computed() {
    let (device, plain) = (autodiff_device(), plain_device());
    let hidden = tensor::<2>(&normals(20, 1.0, 1), [4, 5], FloatDType::F32, &device);
    let weight = tensor::<2>(&normals(55, 1.0, 2), [11, 5], FloatDType::F32, &plain);
    let teacher = Prediction::Dense(tensor::<2>(
        &normals(44, 1.0, 3),
        [4, 11],
        FloatDType::F32,
        &plain,
    ));
    let evaluate = |hidden: &Tensor<2>, head: &LmHead| {
        let rows = HeadRows {
            hidden,
            head,
            teacher: &teacher,
            targets: None,
            chunk_rows: None,
        };
        let wanted = Wanted::of(hidden, head);
        let loss = Fused::Blend(Blend::soft(Divergence::ForwardKl, 1.0));
        evaluate(&rows.without_autodiff(), loss, None, wanted).expect("it is f32 on flex")
    };
    let frozen = LmHead::new(weight.clone());
    let evaluation = evaluate(&hidden.clone().require_grad(), &frozen);
    assert!(evaluation.hidden.is_some() && evaluation.weight.is_none());
    let trained = LmHead::new(weight.autodiff().require_grad());
    let evaluation = evaluate(&hidden, &trained);
    assert!(evaluation.hidden.is_none() && evaluation.weight.is_some());
    let evaluation = evaluate(&hidden, &frozen);
    assert!(evaluation.hidden.is_none() && evaluation.weight.is_none());
}

#[test]
fn a_transposed_and_a_padded_head_are_read_where_they_lie() {
    let plain = plain_device();
    let hidden = tensor::<2>(&normals(20, 1.0, 1), [4, 5], FloatDType::F32, &plain);
    let weight = tensor::<2>(&normals(65, 1.0, 2), [13, 5], FloatDType::F32, &plain);
    let teacher = Prediction::Dense(Tensor::zeros([4, 11], &plain));
    let value = |weight: Tensor<2>| {
        let rows = HeadRows {
            hidden: &hidden,
            head: &LmHead::new(weight).truncated(11),
            teacher: &teacher,
            targets: None,
            chunk_rows: None,
        };
        values(&rows.per_row(&Divergence::ForwardKl))
    };
    let expected = value(weight.clone().narrow(0, 0, 11) * 1.0);
    assert_eq!(value(weight.clone()), expected);
    let transposed = (weight.transpose() * 1.0).transpose();
    assert_close(&value(transposed), &expected, Tolerance::F32);
}

#[test]
#[should_panic(expected = "target 50 is beyond the vocabulary of 40 tokens")]
fn a_target_that_no_token_has_is_refused() {
    let plain = plain_device();
    let hidden = Tensor::<2>::ones([1, 3], &plain);
    let head = LmHead::new(Tensor::ones([40, 3], &plain));
    let targets = Tensor::<1, Int>::from_ints([50], &plain);
    let _ = crate::linear_cross_entropy(&hidden, &head, &targets, None);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let case = Case {
        width: 64,
        chunk_rows: 29,
        has_bias: true,
        ..Case::of(83, 1031)
    };
    for loss in [hinton(2.0), cross_entropy(0.0)] {
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started")
                .install(|| run(&case, loss, Kind::Deferred, FloatDType::F32))
        };
        assert_eq!(with_threads(1), with_threads(3));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_shapes_agree_with_the_portable_body(
        rows in 0usize..40,
        vocab in 1usize..300,
        width in 1usize..20,
        chunk_rows in 1usize..20,
        which in 0usize..19,
        seed: u16,
    ) {
        let case = Case { width, chunk_rows, seed: u64::from(seed), ..Case::of(rows, vocab) };
        let loss = match which {
            16 => hinton(2.0),
            17 => cross_entropy(0.0),
            18 => cross_entropy(0.2),
            which => Loss::Blend(Blend::soft(divergences()[which], 1.5)),
        };
        check(&case, loss, Kind::Deferred);
    }

    #[test]
    fn named_tokens_of_random_number_agree_with_the_portable_body(
        rows in 1usize..20,
        vocab in 1usize..200,
        k in 1usize..20,
        which in 0usize..4,
        seed: u16,
    ) {
        let case = Case { seed: u64::from(seed), ..Case::of(rows, vocab) };
        let (loss, kind) = match which {
            0 => (SparseDivergence::Renormalized, Kind::TopK(k.min(vocab))),
            1 => (SparseDivergence::Truncated, Kind::TopK(k.min(vocab))),
            2 => (SparseDivergence::Sampled, Kind::Sampled(k)),
            _ => (
                SparseDivergence::WithTail { divergence: Divergence::ReverseKl },
                Kind::TopK(k.min(vocab)),
            ),
        };
        check(&case, Loss::Sparse(loss), kind);
    }
}
