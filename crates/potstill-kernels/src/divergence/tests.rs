//! Closed form, autodiff and finite differences must agree; then what each divergence promises.

use burn::tensor::FloatDType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_gradient, finite_differences, logits, normals, plain_device,
    tensor, tensor_f64, values,
};
use proptest::prelude::*;

use super::*;

const ROWS: usize = 3;
const VOCAB: usize = 7;

fn all() -> Vec<Divergence> {
    vec![
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::symmetric_kl(0.3).unwrap(),
        Divergence::generalized_jsd(0.0).unwrap(),
        Divergence::generalized_jsd(0.2).unwrap(),
        Divergence::generalized_jsd(0.5).unwrap(),
        Divergence::generalized_jsd(1.0).unwrap(),
        Divergence::skew_forward_kl(0.0).unwrap(),
        Divergence::skew_forward_kl(0.1).unwrap(),
        Divergence::skew_reverse_kl(0.0).unwrap(),
        Divergence::skew_reverse_kl(0.1).unwrap(),
        Divergence::TotalVariation,
        Divergence::SquaredHellinger,
        Divergence::alpha_beta(0.2, 0.7).unwrap(),
        Divergence::alpha_beta(0.5, 0.0).unwrap(),
        Divergence::alpha_beta(0.0, 0.5).unwrap(),
        Divergence::alpha_beta(0.5, -0.5).unwrap(),
        Divergence::alpha_beta(0.0, 0.0).unwrap(),
        Divergence::adaptive_kl(0.5).unwrap(),
    ]
}

fn rows(divergence: Divergence, student: &[f64], teacher: &[f64]) -> Vec<f64> {
    let shape = [student.len() / VOCAB, VOCAB];
    values(&divergence.per_row(tensor_f64(student, shape), tensor_f64(teacher, shape), 1.0))
}

fn gradient(divergence: Divergence, student: &[f64], teacher: &[f64]) -> Vec<f64> {
    let shape = [student.len() / VOCAB, VOCAB];
    let student = tensor_f64(student, shape);
    values(
        &divergence
            .value_and_gradient(student, tensor_f64(teacher, shape), 1.0)
            .1,
    )
}

#[test]
fn closed_form_and_autodiff_and_finite_differences_agree() {
    let shape = [ROWS, VOCAB];
    let student = normals(ROWS * VOCAB, 2.0, 1);
    let teacher = normals(ROWS * VOCAB, 2.0, 2);
    for divergence in all() {
        for temperature in [1.0, 2.5] {
            let sum = |student: Tensor<2>| {
                divergence
                    .per_row(student, tensor_f64(&teacher, shape), temperature)
                    .sum()
            };
            let (value, closed) = divergence.value_and_gradient(
                tensor_f64(&student, shape),
                tensor_f64(&teacher, shape),
                temperature,
            );
            let (expected, by_autodiff) = autodiff_gradient(sum, &student, shape, FloatDType::F64);
            assert_close(
                &[value.sum().into_scalar::<f64>()],
                &[expected],
                Tolerance::F64,
            );
            assert_close(&values(&closed), &by_autodiff, Tolerance::F64);
            // The share of the head is a constant for the gradient, but not for differences.
            if !matches!(divergence, Divergence::AdaptiveKl { .. }) {
                let differences = finite_differences(sum, &student, shape);
                let tolerance = Tolerance {
                    absolute: 1e-7,
                    relative: 1e-6,
                };
                assert_close(&values(&closed), &differences, tolerance);
            }
        }
    }
}

#[test]
fn values_agree_with_an_independent_reference() {
    // Computed in f64 with numpy from the formulas of the papers, mean of the two rows.
    let teacher = tensor_f64(
        &[2.0, 1.0, 0.0, -1.0, 0.5, 0.0, 3.0, -2.0, 1.0, 0.0],
        [2, 5],
    );
    let student = tensor_f64(
        &[1.0, 1.5, -0.5, 0.0, 0.2, 0.5, 1.0, -1.0, 2.0, -0.3],
        [2, 5],
    );
    for (divergence, expected) in [
        (Divergence::ForwardKl, 0.532260669),
        (Divergence::ReverseKl, 0.571756194),
        (Divergence::TotalVariation, 0.452786639),
        (Divergence::generalized_jsd(0.1).unwrap(), 0.046979356),
        (Divergence::generalized_jsd(0.9).unwrap(), 0.049496568),
        (Divergence::skew_forward_kl(0.1).unwrap(), 0.416154556),
        (Divergence::skew_reverse_kl(0.1).unwrap(), 0.430909001),
        (Divergence::alpha_beta(0.2, 0.7).unwrap(), 0.622886339),
        (Divergence::alpha_beta(1.0, 1.0).unwrap(), 0.181559926),
        (Divergence::alpha_beta(0.5, 0.0).unwrap(), 1.044035626),
        (Divergence::alpha_beta(0.0, 0.5).unwrap(), 1.136274787),
        (Divergence::alpha_beta(0.0, 0.0).unwrap(), 2.896548717),
        (Divergence::adaptive_kl(0.5).unwrap(), 0.552263211),
    ] {
        let mean = divergence
            .per_row(student.clone(), teacher.clone(), 1.0)
            .mean();
        assert_close(
            &[mean.into_scalar::<f64>()],
            &[expected],
            Tolerance::absolute(1e-9),
        );
    }
}

#[test]
fn alpha_beta_holds_its_special_cases() {
    let (student, teacher) = (normals(ROWS * VOCAB, 2.0, 3), normals(ROWS * VOCAB, 2.0, 4));
    let close = |alpha, beta, expected: Vec<f64>| {
        let divergence = Divergence::alpha_beta(alpha, beta).unwrap();
        assert_close(
            &rows(divergence, &student, &teacher),
            &expected,
            Tolerance::F64,
        );
    };
    close(1.0, 0.0, rows(Divergence::ForwardKl, &student, &teacher));
    close(0.0, 1.0, rows(Divergence::ReverseKl, &student, &teacher));
    let hellinger = rows(Divergence::SquaredHellinger, &student, &teacher);
    close(
        0.5,
        0.5,
        hellinger.iter().map(|value| 4.0 * value).collect(),
    );
}

#[test]
fn alpha_beta_is_continuous_at_its_limits() {
    let (student, teacher) = (normals(ROWS * VOCAB, 1.0, 5), normals(ROWS * VOCAB, 1.0, 6));
    for (limit, near) in [
        ((0.7, 0.0), (0.7, 0.002)),
        ((0.0, 0.7), (0.002, 0.7)),
        ((0.7, -0.7), (0.7, -0.698)),
        ((0.0, 0.0), (0.002, 0.003)),
    ] {
        let of = |(alpha, beta)| Divergence::alpha_beta(alpha, beta).unwrap();
        let tolerance = Tolerance {
            absolute: 1e-2,
            relative: 2e-2,
        };
        assert_close(
            &rows(of(near), &student, &teacher),
            &rows(of(limit), &student, &teacher),
            tolerance,
        );
        assert_close(
            &gradient(of(near), &student, &teacher),
            &gradient(of(limit), &student, &teacher),
            tolerance,
        );
    }
}

#[test]
fn distant_certainties_reach_the_bounds() {
    let (mut student, mut teacher) = (vec![0.0; VOCAB], vec![0.0; VOCAB]);
    student[0] = 1000.0;
    teacher[1] = 1000.0;
    for (divergence, bound) in [
        (Divergence::skew_forward_kl(0.1).unwrap(), 10f64.ln()),
        (Divergence::skew_reverse_kl(0.1).unwrap(), 10f64.ln()),
        (Divergence::generalized_jsd(0.5).unwrap(), 2f64.ln()),
        (
            Divergence::generalized_jsd(0.1).unwrap(),
            0.3250829733914482,
        ),
        (Divergence::TotalVariation, 1.0),
        (Divergence::SquaredHellinger, 1.0),
        (Divergence::ForwardKl, 1000.0),
    ] {
        assert_close(
            &rows(divergence, &student, &teacher),
            &[bound],
            Tolerance::F64,
        );
    }
}

#[test]
fn a_forbidden_token_is_never_nan() {
    let mut teacher = normals(ROWS * VOCAB, 2.0, 7);
    for row in 0..ROWS {
        teacher[row * VOCAB + 2] = f64::NEG_INFINITY;
    }
    let plain = normals(ROWS * VOCAB, 2.0, 8);
    let mut forbidding = plain.clone();
    forbidding[2] = f64::NEG_INFINITY;
    forbidding[5] = f64::NEG_INFINITY;
    let shape = [ROWS, VOCAB];
    for divergence in all() {
        for student in [&plain, &forbidding] {
            // Ratios to a power that is not positive are infinite where they should be.
            if matches!(divergence, Divergence::AlphaBeta { beta, .. } if beta < 0.0) {
                continue;
            }
            for dtype in [FloatDType::F64, FloatDType::F32] {
                let device = plain_device();
                let (value, gradient) = divergence.value_and_gradient(
                    tensor(student, shape, dtype, &device),
                    tensor(&teacher, shape, dtype, &device),
                    1.0,
                );
                let finite = |all: Vec<f64>| all.iter().all(|value| value.is_finite());
                assert!(
                    finite(values(&value)) && finite(values(&gradient)),
                    "{divergence:?}"
                );
            }
            let sum = |student: Tensor<2>| {
                divergence
                    .per_row(student, tensor_f64(&teacher, shape), 1.0)
                    .sum()
            };
            let (_, gradient) = autodiff_gradient(sum, student, shape, FloatDType::F64);
            assert!(
                gradient.iter().all(|value| value.is_finite()),
                "{divergence:?}"
            );
        }
    }
}

#[test]
fn a_forbidden_token_is_as_if_it_were_not_there() {
    let (mut student, mut teacher) = (normals(VOCAB, 1.0, 9), normals(VOCAB, 1.0, 10));
    let expected: Vec<f64> = {
        let shape = [1, VOCAB - 1];
        let (student, teacher) = (
            tensor_f64(&student[1..], shape),
            tensor_f64(&teacher[1..], shape),
        );
        all()
            .iter()
            .flat_map(|divergence| {
                values(&divergence.per_row(student.clone(), teacher.clone(), 1.0))
            })
            .collect()
    };
    (student[0], teacher[0]) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for (divergence, expected) in all().into_iter().zip(expected) {
        // A ratio p/q of two zeros is undefined, and counts as 1 where nothing multiplies it.
        if !matches!(divergence, Divergence::AlphaBeta { alpha, beta } if alpha + beta == 0.0) {
            assert_close(
                &rows(divergence, &student, &teacher),
                &[expected],
                Tolerance::F64,
            );
        }
    }
}

#[test]
fn logits_of_ten_thousand_stay_finite() {
    let extreme: Vec<f64> = (0..VOCAB)
        .map(|i| if i % 2 == 0 { 1e4 } else { -1e4 })
        .collect();
    let opposite: Vec<f64> = extreme.iter().map(|value| -value).collect();
    let device = plain_device();
    let of = |values: &[f64]| tensor(values, [1, VOCAB], FloatDType::F32, &device);
    for divergence in all() {
        if matches!(divergence, Divergence::AlphaBeta { beta, .. } if beta < 0.0) {
            continue;
        }
        let (value, gradient) = divergence.value_and_gradient(of(&opposite), of(&extreme), 1.0);
        assert!(value.into_scalar::<f64>().is_finite(), "{divergence:?}");
        assert!(
            values(&gradient).iter().all(|value| value.is_finite()),
            "{divergence:?}"
        );
    }
    let forward = Divergence::ForwardKl.per_row(of(&opposite), of(&extreme), 1.0);
    assert_close(
        &values(&forward),
        &[2e4 + (3f64 / 4.0).ln()],
        Tolerance::F32,
    );
}

#[test]
fn half_precision_inputs_lose_no_more_than_their_rounding() {
    let device = plain_device();
    let shape = [ROWS, VOCAB];
    let (student, teacher) = (
        normals(ROWS * VOCAB, 4.0, 11),
        normals(ROWS * VOCAB, 4.0, 12),
    );
    let rounded = |values: &[f64]| tensor(values, shape, FloatDType::BF16, &device);
    for divergence in all() {
        let actual = divergence.per_row(rounded(&student), rounded(&teacher), 1.0);
        let exact = divergence.per_row(
            rounded(&student).cast(FloatDType::F64),
            rounded(&teacher).cast(FloatDType::F64),
            1.0,
        );
        assert_close(
            &values(&actual),
            &values(&exact),
            Tolerance {
                absolute: 1e-5,
                relative: 1e-5,
            },
        );
    }
}

#[test]
fn a_wrong_parameter_is_named() {
    let error = Divergence::generalized_jsd(1.5).unwrap_err();
    assert_eq!(error.to_string(), "beta is 1.5, it must be between 0 and 1");
    assert!(Divergence::skew_forward_kl(1.0).is_err());
    assert!(Divergence::skew_reverse_kl(-0.1).is_err());
    assert!(Divergence::alpha_beta(f64::NAN, 1.0).is_err());
    assert!(Divergence::adaptive_kl(f64::NAN).is_err());
}

#[test]
fn settings_are_read_from_text_and_checked() {
    let parse = |text: &str| serde_json::from_str::<Divergence>(text);
    assert_eq!(
        parse(r#"{"kind": "reverse_kl"}"#).unwrap(),
        Divergence::ReverseKl
    );
    let jsd = parse(r#"{"kind": "generalized_jsd", "beta": 0.25}"#).unwrap();
    assert_eq!(jsd, Divergence::generalized_jsd(0.25).unwrap());
    assert_eq!(parse(&serde_json::to_string(&jsd).unwrap()).unwrap(), jsd);
    assert!(parse(r#"{"kind": "generalized_jsd", "beta": 2.0}"#).is_err());
    assert!(parse(r#"{"kind": "generalized_jsd", "betta": 0.2}"#).is_err());
    assert!(parse(r#"{"kind": "skew_reverse_kl", "alpha": 1.0}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn is_never_negative(
        student in logits(ROWS, VOCAB, 8.0),
        teacher in logits(ROWS, VOCAB, 8.0),
    ) {
        for divergence in all() {
            for value in rows(divergence, &student, &teacher) {
                prop_assert!(value >= -1e-12, "{divergence:?}: {value}");
            }
        }
    }

    #[test]
    fn is_zero_with_a_zero_gradient_only_where_the_models_agree(
        teacher in logits(ROWS, VOCAB, 8.0),
        shift in 0.2f64..2.0,
    ) {
        let mut other = teacher.clone();
        other.iter_mut().step_by(VOCAB).for_each(|logit| *logit += shift);
        for divergence in all() {
            for value in rows(divergence, &teacher, &teacher) {
                prop_assert!(value.abs() < 1e-12, "{divergence:?}: {value}");
            }
            for value in gradient(divergence, &teacher, &teacher) {
                prop_assert!(value.abs() < 1e-12, "{divergence:?}: {value}");
            }
            for value in rows(divergence, &other, &teacher) {
                prop_assert!(value > 0.0, "{divergence:?}: {value}");
            }
        }
    }

    #[test]
    fn is_bounded_where_it_should_be(
        student in logits(ROWS, VOCAB, 30.0),
        teacher in logits(ROWS, VOCAB, 30.0),
        share in 0.05f64..0.95,
    ) {
        let entropy = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
        for (divergence, bound) in [
            (Divergence::generalized_jsd(share).unwrap(), entropy),
            (Divergence::skew_forward_kl(share).unwrap(), -share.ln()),
            (Divergence::skew_reverse_kl(share).unwrap(), -share.ln()),
            (Divergence::TotalVariation, 1.0),
            (Divergence::SquaredHellinger, 1.0),
        ] {
            for value in rows(divergence, &student, &teacher) {
                prop_assert!(value <= bound + 1e-12, "{divergence:?}: {value} > {bound}");
            }
        }
    }

    #[test]
    fn total_variation_obeys_pinsker(
        student in logits(ROWS, VOCAB, 6.0),
        teacher in logits(ROWS, VOCAB, 6.0),
    ) {
        let distance = rows(Divergence::TotalVariation, &student, &teacher);
        let forward = rows(Divergence::ForwardKl, &student, &teacher);
        for (distance, forward) in distance.iter().zip(&forward) {
            prop_assert!(distance * distance <= forward / 2.0 + 1e-12);
        }
    }

    #[test]
    fn what_is_symmetric_stays_so_when_the_models_change_places(
        a in logits(ROWS, VOCAB, 6.0),
        b in logits(ROWS, VOCAB, 6.0),
    ) {
        for divergence in [
            Divergence::generalized_jsd(0.5).unwrap(),
            Divergence::symmetric_kl(0.5).unwrap(),
            Divergence::TotalVariation,
            Divergence::SquaredHellinger,
            Divergence::alpha_beta(0.7, 0.7).unwrap(),
        ] {
            assert_close(&rows(divergence, &a, &b), &rows(divergence, &b, &a), Tolerance::F64);
        }
        let reverse = rows(Divergence::ReverseKl, &a, &b);
        assert_close(&rows(Divergence::ForwardKl, &b, &a), &reverse, Tolerance::F64);
    }

    #[test]
    fn neither_a_shift_of_the_logits_nor_the_order_of_the_vocabulary_matters(
        student in logits(ROWS, VOCAB, 6.0),
        teacher in logits(ROWS, VOCAB, 6.0),
        shift in -50.0f64..50.0,
    ) {
        let changed = |values: &[f64]| -> Vec<f64> {
            let reversed = values.chunks(VOCAB).flat_map(|row| row.iter().rev());
            reversed.map(|value| value + shift).collect()
        };
        for divergence in all() {
            let tolerance = Tolerance { absolute: 1e-9, relative: 1e-8 };
            assert_close(
                &rows(divergence, &changed(&student), &changed(&teacher)),
                &rows(divergence, &student, &teacher),
                tolerance,
            );
        }
    }
}
