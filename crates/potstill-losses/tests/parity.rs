//! Every case of the reference files that this crate has a loss for, in f64 and f32.
//!
//! The values come from PyTorch's autograd in f64, and the Jensen–Shannon ones agree with TRL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_losses::{
    Decoupled, DistInter, Divergence, Error, HintonConfig, LogitMse, LogitRows, RowLoss,
    SoftTargetConfig, Standardized, attention_mse, attention_transfer, hidden_cosine, hidden_mse,
    hidden_normalized_mse, linear_cka, rkd_angle, rkd_distance, self_relation_kl,
    similarity_preserving,
};
use potstill_testkit::{
    FeatureCase, LogitCase, Tolerance, assert_close, autodiff_device, plain_device, read_json,
    values,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn divergence(case: &LogitCase) -> Result<Option<Divergence>, Error> {
    let params = &case.params;
    let (alpha, beta) = (
        params.alpha.unwrap_or_default(),
        params.beta.unwrap_or_default(),
    );
    Ok(Some(match case.loss.as_str() {
        "forward_kl" => Divergence::ForwardKl,
        "reverse_kl" => Divergence::ReverseKl,
        "generalized_jsd" => Divergence::generalized_jsd(beta)?,
        "skew_forward_kl" => Divergence::skew_forward_kl(alpha)?,
        "skew_reverse_kl" => Divergence::skew_reverse_kl(alpha)?,
        "total_variation" => Divergence::TotalVariation,
        "alpha_beta" => Divergence::alpha_beta(alpha, beta)?,
        _ => return Ok(None),
    }))
}

fn loss(case: &LogitCase) -> Result<Option<Box<dyn RowLoss>>, Error> {
    let temperature = case.params.temperature.unwrap_or(1.0);
    if let Some(divergence) = divergence(case)? {
        let config = SoftTargetConfig::new(divergence).with_temperature(temperature);
        return Ok(Some(Box::new(config.init()?)));
    }
    let alpha = case.params.alpha.unwrap_or_default();
    Ok(match case.loss.as_str() {
        "hinton" => {
            let config = HintonConfig::new()
                .with_temperature(temperature)
                .with_alpha(alpha);
            Some(Box::new(config.init()?))
        }
        "decoupled" => Some(Box::new(Decoupled {
            alpha,
            beta: case.params.beta.unwrap_or_default(),
            temperature,
        })),
        "dist_inter" => Some(Box::new(DistInter { temperature })),
        "logit_mse" => Some(Box::new(LogitMse)),
        "standardized_forward_kl" => Some(Box::new(Standardized {
            divergence: Divergence::ForwardKl,
            temperature,
            epsilon: case.params.epsilon.unwrap_or_default(),
        })),
        _ => None,
    })
}

fn check_logit_case(case: &LogitCase, loss: &dyn RowLoss, dtype: FloatDType, tolerance: Tolerance) {
    let device = plain_device();
    let targets = case.params.targets.as_ref().map(|targets| {
        let targets: Vec<i32> = targets.iter().map(|id| id.cast_signed()).collect();
        Tensor::<1, Int>::from_data(targets.as_slice(), &device)
    });
    let rows = LogitRows {
        student: case.student_logits.tensor(dtype, &device),
        teacher: Some(case.teacher_logits.tensor(dtype, &device)),
        targets,
    };
    assert_close(&values(&loss.per_row(rows.clone())), &case.rows, tolerance);
    let (value, gradient) = loss.value_and_gradient(rows);
    assert_close(&values(&value), &case.rows, tolerance);
    let mask: Tensor<1> = case.mask.tensor(dtype, &device);
    let kept: f64 = case.mask.values.iter().sum();
    let mean = (value * mask.clone()).sum() / kept;
    assert_close(&values(&mean), &[case.mean], tolerance);
    let gradient = gradient * mask.unsqueeze_dim::<2>(1) / kept;
    assert_close(&values(&gradient), &case.grad_student.values, tolerance);
}

#[test]
fn logit_losses_agree_with_pytorch() {
    let cases: Vec<LogitCase> = read_json(fixture("logit_losses.json")).unwrap();
    let mut checked = BTreeMap::<&str, usize>::new();
    for case in &cases {
        let loss = loss(case).unwrap().expect("every case has a loss");
        check_logit_case(case, loss.as_ref(), FloatDType::F64, Tolerance::F64);
        check_logit_case(case, loss.as_ref(), FloatDType::F32, Tolerance::F32);
        *checked.entry(&case.loss).or_default() += 1;
    }
    let expected = BTreeMap::from([
        ("forward_kl", 5),
        ("reverse_kl", 4),
        ("generalized_jsd", 17),
        ("skew_forward_kl", 6),
        ("skew_reverse_kl", 8),
        ("total_variation", 3),
        ("alpha_beta", 9),
        ("hinton", 3),
        ("decoupled", 3),
        ("dist_inter", 3),
        ("logit_mse", 3),
        ("standardized_forward_kl", 3),
    ]);
    assert_eq!(checked, expected);
}

/// The losses of rows, of which the mean over the mask is taken.
fn feature_rows(case: &FeatureCase, student: Tensor<2>, teacher: Tensor<2>) -> Option<Tensor<1>> {
    Some(match case.loss.as_str() {
        "hidden_mse" => hidden_mse(student, teacher),
        "hidden_cosine" => hidden_cosine(student, teacher),
        "hidden_normalized_mse" => hidden_normalized_mse(student, teacher),
        "hint_regressor_mse" => {
            let regressor = case.regressor.as_ref().expect("a hint has a regressor");
            let regressor: Tensor<2> = regressor.tensor(student.dtype().into(), &plain_device());
            hidden_mse(student.matmul(regressor), teacher)
        }
        _ => return None,
    })
}

fn masked_mean(case: &FeatureCase, student: Tensor<3>, teacher: Tensor<3>) -> Option<Tensor<1>> {
    let mask = case.mask.as_ref()?;
    let dtype = student.dtype().into();
    let rows = feature_rows(case, student.flatten(0, 1), teacher.flatten(0, 1))?;
    let weights: Tensor<2> = mask.tensor(dtype, &plain_device());
    // Not a division: autodiff's derivative of one has only the precision of f32.
    let share = mask.values.iter().sum::<f64>().recip();
    Some((rows * weights.flatten::<1>(0, 1)).sum() * share)
}

fn of_batch(case: &FeatureCase, student: Tensor<2>, teacher: Tensor<2>) -> Option<Tensor<1>> {
    Some(match case.loss.as_str() {
        "rkd_distance" => rkd_distance(student, teacher),
        "rkd_angle" => rkd_angle(student, teacher),
        "similarity_preserving" => similarity_preserving(student, teacher),
        "linear_cka" => linear_cka(student, teacher),
        _ => return None,
    })
}

fn of_sequences(case: &FeatureCase, student: Tensor<3>, teacher: Tensor<3>) -> Option<Tensor<1>> {
    match case.loss.as_str() {
        "minilm_relation" => {
            let heads = case.params.relation_heads?;
            Some(self_relation_kl(student, teacher, heads))
        }
        _ => masked_mean(case, student, teacher),
    }
}

fn of_maps(case: &FeatureCase, student: Tensor<4>, teacher: Tensor<4>) -> Option<Tensor<1>> {
    Some(match case.loss.as_str() {
        "attention_mse" => attention_mse(student, teacher),
        "attention_transfer" => attention_transfer(student, teacher),
        _ => return None,
    })
}

fn check<const D: usize>(
    case: &FeatureCase,
    loss: impl Fn(&FeatureCase, Tensor<D>, Tensor<D>) -> Option<Tensor<1>>,
) -> bool {
    for (dtype, tolerance) in [
        (FloatDType::F64, Tolerance::F64),
        (FloatDType::F32, Tolerance::F32),
    ] {
        let student: Tensor<D> = case.student.tensor(dtype, &autodiff_device());
        let student = student.require_grad();
        let teacher: Tensor<D> = case.teacher.tensor(dtype, &plain_device());
        let Some(value) = loss(case, student.clone(), teacher) else {
            return false;
        };
        let gradients = value.backward();
        assert_close(&values(&value), &[case.value], tolerance);
        let gradient = student
            .grad(&gradients)
            .expect("the loss depends on the student");
        assert_close(&values(&gradient), &case.grad_student.values, tolerance);
    }
    true
}

#[test]
fn feature_losses_agree_with_pytorch() {
    let cases: Vec<FeatureCase> = read_json(fixture("feature_losses.json")).unwrap();
    let unchecked: Vec<&str> = cases
        .iter()
        .filter(|case| !match case.student.shape.len() {
            2 => check::<2>(case, of_batch),
            3 => check::<3>(case, of_sequences),
            _ => check::<4>(case, of_maps),
        })
        .map(|case| case.loss.as_str())
        .collect();
    assert_eq!(cases.len(), 11);
    assert!(unchecked.is_empty(), "no loss for {unchecked:?}");
}
