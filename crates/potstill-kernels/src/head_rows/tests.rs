//! Chunks must add up to the whole, in value and in every gradient.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{DType, FloatDType};
use potstill_testkit::{
    Tolerance, assert_close, autodiff_device, normals, plain_device, tensor, values,
};

use super::*;
use crate::{Blend, CrossEntropy, Divergence, HardPart, LogitRows, SoftPart};

const ROWS: usize = 7;
const WIDTH: usize = 4;
const VOCAB: usize = 9;
const TEACHER_WIDTH: usize = 3;

fn targets() -> Tensor<1, Int> {
    Tensor::from_ints([0, 3, 8, 1, 1, 7, 2], &plain_device())
}

fn weights() -> Tensor<1> {
    Tensor::from_floats([1.0, 0.5, 2.0, 0.25, 1.0, 1.0, 3.0], &plain_device())
}

/// Hinton's objective.
fn hinton(alpha: f64, temperature: f64) -> Blend {
    Blend {
        soft: Some(SoftPart {
            divergence: Divergence::ForwardKl,
            temperature,
            factor: alpha * temperature * temperature,
        }),
        hard: Some(HardPart {
            cross_entropy: CrossEntropy::default(),
            factor: 1.0 - alpha,
        }),
    }
}

/// A hidden state, weight and bias that want gradients.
struct Student {
    hidden: Tensor<2>,
    head: LmHead,
}

impl Student {
    fn new(scale: f64, softcap: Option<f64>, has_bias: bool) -> Self {
        let device = autodiff_device();
        let leaf = |count: usize, seed| normals(count, 1.0, seed);
        let of = |values: &[f64], shape| {
            tensor::<2>(values, shape, FloatDType::F64, &device).require_grad()
        };
        let bias = has_bias.then(|| {
            tensor::<1>(&leaf(VOCAB, 3), [VOCAB], FloatDType::F64, &device).require_grad()
        });
        Self {
            hidden: of(&leaf(ROWS * WIDTH, 1), [ROWS, WIDTH]),
            head: LmHead {
                weight: of(&leaf(VOCAB * WIDTH, 2), [VOCAB, WIDTH]),
                bias,
                scale,
                softcap,
            },
        }
    }

    fn gradients(&self, loss: Tensor<1>) -> Vec<f64> {
        // The factor shows that the upstream gradient is passed on.
        let gradients = (loss * 0.5).backward();
        let mut all = values(&self.hidden.grad(&gradients).unwrap());
        all.extend(values(&self.head.weight.grad(&gradients).unwrap()));
        if let Some(bias) = &self.head.bias {
            all.extend(values(&bias.grad(&gradients).unwrap()));
        }
        all
    }
}

fn teacher_logits() -> Tensor<2> {
    teacher_head().logits(teacher_hidden())
}

fn teacher_hidden() -> Tensor<2> {
    let values = normals(ROWS * TEACHER_WIDTH, 1.0, 4);
    tensor(
        &values,
        [ROWS, TEACHER_WIDTH],
        FloatDType::F64,
        &plain_device(),
    )
}

fn teacher_head() -> LmHead {
    let values = normals(VOCAB * TEACHER_WIDTH, 1.0, 5);
    LmHead::new(tensor(
        &values,
        [VOCAB, TEACHER_WIDTH],
        FloatDType::F64,
        &plain_device(),
    ))
}

fn check_against_autodiff(loss: &impl RowLoss, make: impl Fn() -> Student) {
    let student = make();
    let whole = loss.per_row(LogitRows {
        student: student.head.logits(student.hidden.clone()),
        teacher: Some(teacher_logits()),
        targets: Some(targets()),
    });
    let expected = (whole * weights().cast(FloatDType::F64)).sum();
    let expected_value = expected.clone().into_scalar::<f64>();
    let expected_gradients = student.gradients(expected);
    let dense = Prediction::Dense(teacher_logits());
    let deferred = Prediction::Deferred {
        hidden: teacher_hidden(),
        head: teacher_head(),
    };
    for teacher in [&dense, &deferred] {
        for chunk_rows in [None, Some(1), Some(3), Some(ROWS)] {
            let student = make();
            let rows = HeadRows {
                hidden: &student.hidden,
                head: &student.head,
                teacher,
                targets: Some(&targets()),
                chunk_rows,
            };
            let sum = rows.weighted_sum(loss, Some(&weights()));
            assert_close(
                &[sum.clone().into_scalar::<f64>()],
                &[expected_value],
                Tolerance::F64,
            );
            assert_close(&student.gradients(sum), &expected_gradients, Tolerance::F64);
        }
    }
}

#[test]
fn chunks_add_up_to_what_autodiff_finds_on_the_whole() {
    let plain = || Student::new(1.0, None, false);
    check_against_autodiff(&Divergence::ForwardKl, plain);
    check_against_autodiff(&Divergence::generalized_jsd(0.3).unwrap(), plain);
    check_against_autodiff(&Divergence::skew_reverse_kl(0.1).unwrap(), plain);
    check_against_autodiff(&CrossEntropy::default(), plain);
    check_against_autodiff(&CrossEntropy { smoothing: 0.1 }, plain);
    check_against_autodiff(&hinton(0.5, 2.0), plain);
}

#[test]
fn bias_and_scale_and_softcap_are_differentiated() {
    for (scale, softcap, has_bias) in [
        (1.0, None, true),
        (0.3, None, true),
        (1.0, Some(2.0), false),
        (1.7, Some(4.0), true),
    ] {
        let make = || Student::new(scale, softcap, has_bias);
        check_against_autodiff(&Divergence::ForwardKl, make);
        check_against_autodiff(&hinton(0.7, 2.0), make);
    }
}

#[test]
fn a_preference_between_answers_is_differentiated_through_the_head() {
    // Rows 0 to 3 are the better answer, rows 4 to 6 the worse one.
    let prefer = |nll: Tensor<1>| {
        let answer = |start, rows| -nll.clone().narrow(0, start, rows).sum();
        let margin = answer(0, 4) - answer(4, 3);
        -log_sigmoid(margin * 0.3)
    };
    let student = Student::new(1.0, None, true);
    let whole = CrossEntropy::default().per_row(LogitRows {
        student: student.head.logits(student.hidden.clone()),
        teacher: None,
        targets: Some(targets()),
    });
    let expected = prefer(whole);
    let value = expected.clone().into_scalar::<f64>();
    let expected = student.gradients(expected);
    let student = Student::new(1.0, None, true);
    let rows = HeadRows {
        hidden: &student.hidden,
        head: &student.head,
        teacher: &Prediction::None,
        targets: Some(&targets()),
        chunk_rows: Some(3),
    };
    let loss = rows.reduced(&CrossEntropy::default(), prefer);
    assert_close(&values(&loss), &[value], Tolerance::F64);
    assert_close(&student.gradients(loss), &expected, Tolerance::F64);
}

#[test]
fn a_frozen_head_gets_no_gradient_and_the_hidden_states_still_do() {
    let mut student = Student::new(1.0, None, false);
    student.head = student.head.without_autodiff();
    let teacher = Prediction::Dense(teacher_logits());
    let rows = HeadRows {
        hidden: &student.hidden,
        head: &student.head,
        teacher: &teacher,
        targets: None,
        chunk_rows: Some(2),
    };
    let gradients = rows.weighted_sum(&Divergence::ReverseKl, None).backward();
    let both = Student::new(1.0, None, false);
    let rows = HeadRows {
        hidden: &both.hidden,
        head: &both.head,
        ..rows
    };
    let expected = rows.weighted_sum(&Divergence::ReverseKl, None).backward();
    assert_close(
        &values(&student.hidden.grad(&gradients).unwrap()),
        &values(&both.hidden.grad(&expected).unwrap()),
        Tolerance::F64,
    );
}

#[test]
fn an_evaluation_stays_outside_the_graph() {
    let student = Student::new(1.0, None, true);
    let hidden = student.hidden.clone().without_autodiff();
    let head = student.head.clone().without_autodiff();
    let teacher = Prediction::Deferred {
        hidden: teacher_hidden(),
        head: teacher_head(),
    };
    let rows = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &teacher,
        targets: None,
        chunk_rows: Some(3),
    };
    let sum = rows.weighted_sum(&Divergence::ForwardKl, None);
    assert!(!sum.is_autodiff());
    let per_row = rows.per_row(&Divergence::ForwardKl);
    assert_eq!(per_row.dims(), [ROWS]);
    assert_close(&values(&per_row.sum()), &values(&sum), Tolerance::F64);
    let tracked = HeadRows {
        hidden: &student.hidden,
        head: &student.head,
        ..rows
    };
    assert!(!tracked.per_row(&Divergence::ForwardKl).is_autodiff());
}

#[test]
fn agreement_counts_equal_likeliest_tokens() {
    let device = plain_device();
    let identity = LmHead::new(Tensor::eye(3, &device));
    let hidden = Tensor::from_floats([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 5.0, 1.0]], &device);
    let teacher = Tensor::from_floats([[1.0, 0.0, 0.5], [3.0, 1.0, 2.0], [0.0, 1.0, 0.9]], &device);
    let rows = HeadRows {
        hidden: &hidden,
        head: &identity,
        teacher: &Prediction::Dense(teacher),
        targets: None,
        chunk_rows: Some(2),
    };
    assert_eq!(values(&rows.agreement()), [1.0, 0.0, 1.0]);
}

#[test]
fn a_half_precision_student_gets_gradients_in_its_own_dtype() {
    let device = autodiff_device();
    let hidden = tensor::<2>(
        &normals(ROWS * WIDTH, 1.0, 1),
        [ROWS, WIDTH],
        FloatDType::BF16,
        &device,
    );
    let weight = tensor::<2>(
        &normals(VOCAB * WIDTH, 1.0, 2),
        [VOCAB, WIDTH],
        FloatDType::BF16,
        &device,
    );
    let (hidden, weight) = (hidden.require_grad(), weight.require_grad());
    let head = LmHead::new(weight.clone());
    let teacher = Prediction::Dense(teacher_logits().cast(FloatDType::BF16));
    let rows = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &teacher,
        targets: None,
        chunk_rows: Some(3),
    };
    let gradients = rows
        .weighted_sum(&Divergence::ForwardKl, Some(&weights()))
        .backward();
    let exact = Student::new(1.0, None, false);
    let teacher = Prediction::Dense(teacher_logits());
    let rows = HeadRows {
        hidden: &exact.hidden,
        head: &exact.head,
        teacher: &teacher,
        ..rows
    };
    let expected = rows
        .weighted_sum(&Divergence::ForwardKl, Some(&weights()))
        .backward();
    let weight = weight.grad(&gradients).unwrap();
    assert_eq!(weight.dtype(), DType::BF16);
    assert_close(
        &values(&weight),
        &values(&exact.head.weight.grad(&expected).unwrap()),
        Tolerance {
            absolute: 0.1,
            relative: 0.02,
        },
    );
}

#[test]
fn an_f16_student_has_a_finite_loss_where_the_surrogate_is_beyond_f16() {
    let (plain, device) = (plain_device(), autodiff_device());
    let hidden = tensor::<2>(&[300.0, 0.0], [1, 2], FloatDType::F16, &device).require_grad();
    let head = LmHead::new(Tensor::<2>::eye(2, &plain).cast(FloatDType::F16));
    let rows = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &Prediction::Dense(Tensor::from_floats([[0.0, 300.0]], &plain)),
        targets: None,
        chunk_rows: None,
    };
    let weight = Tensor::from_floats([1000.0], &plain);
    let sum = rows.weighted_sum(&Divergence::ForwardKl, Some(&weight));
    assert_close(&values(&sum), &[300_000.0], Tolerance::F32);
    let gradient = hidden.grad(&sum.backward()).unwrap();
    assert_eq!(gradient.dtype(), DType::F16);
    assert_close(&values(&gradient), &[1000.0, -1000.0], Tolerance::F32);
}

#[test]
fn no_rows_cost_nothing() {
    let student = Student::new(1.0, None, false);
    let hidden = student.hidden.clone().slice(s![0..0, ..]);
    let teacher = Prediction::Dense(teacher_logits().slice(s![0..0, ..]));
    let rows = HeadRows {
        hidden: &hidden,
        head: &student.head,
        teacher: &teacher,
        targets: None,
        chunk_rows: None,
    };
    assert_eq!(
        values(&rows.weighted_sum(&Divergence::ForwardKl, None)),
        [0.0]
    );
    assert_eq!(rows.per_row(&Divergence::ForwardKl).dims(), [0]);
}

#[test]
#[should_panic(expected = "its prediction is none")]
fn a_teacher_that_only_writes_text_has_no_distribution() {
    let student = Student::new(1.0, None, false);
    let rows = HeadRows {
        hidden: &student.hidden,
        head: &student.head,
        teacher: &Prediction::None,
        targets: None,
        chunk_rows: None,
    };
    let _ = rows.weighted_sum(&Divergence::ForwardKl, None);
}
