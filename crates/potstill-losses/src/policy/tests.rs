//! Against exact gradients: a language of three tokens is small enough to write down every sequence.

use burn::module::Module;
use burn::tensor::DType;
use burn::tensor::activation::log_softmax;
use potstill_core::{
    Draw, FinishReason, LmHead, Objective, Rollout, StudentView, Tapped, TeacherSignal, TokenBatch,
};
use potstill_testkit::{normals, plain_device};

use super::*;
use crate::{Divergence, SampledReverseKlConfig, SequenceReverseKlConfig, SoftTarget};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    potstill_testkit::values(&tensor)
}

const VOCAB: usize = 3;
const LENGTH: usize = 3;
const PREFIXES: usize = 1 + VOCAB + VOCAB * VOCAB;

/// Every sequence, and the number of the prefix that each of its tokens follows.
fn sequences() -> Vec<(Vec<u32>, Vec<usize>)> {
    let first_of_length = [0, 1, 1 + VOCAB];
    (0..VOCAB.pow(3))
        .map(|number| {
            let tokens: Vec<usize> = vec![number / 9, number / 3 % 3, number % 3];
            let prefixes = (0..LENGTH)
                .map(|at| first_of_length[at] + tokens[..at].iter().fold(0, |n, t| 3 * n + t));
            let prefixes = prefixes.collect();
            (tokens.into_iter().map(|t| t as u32).collect(), prefixes)
        })
        .collect()
}

/// A language of sequences of three tokens: logits behind each prefix, `[PREFIXES, VOCAB]`.
#[derive(Clone)]
struct Language(Tensor<2>);

impl Language {
    fn new(seed: u64, device: &Device) -> Self {
        let data = TensorData::new(normals(PREFIXES * VOCAB, 1.0, seed), [PREFIXES, VOCAB]);
        Self(Tensor::from_data(data, (device, DType::F64)))
    }

    fn log_probs(&self) -> Tensor<2> {
        log_softmax(self.0.clone(), 1)
    }

    /// Log-probability of every token of every sequence, `[27, 3]`.
    fn of_tokens(&self) -> Tensor<2> {
        let places: Vec<i32> = sequences()
            .iter()
            .flat_map(|(tokens, prefixes)| tokens.iter().zip(prefixes))
            .map(|(&token, &prefix)| (prefix * VOCAB) as i32 + token.cast_signed())
            .collect();
        let count = places.len();
        let places = Tensor::from_data(TensorData::new(places, [count]), &self.0.device());
        self.log_probs()
            .flatten::<1>(0, 1)
            .select(0, places)
            .reshape([count / LENGTH, LENGTH])
    }

    fn of_sequences(&self) -> Tensor<1> {
        self.of_tokens().sum_dim(1).squeeze_dim::<1>(1)
    }

    /// What follows each token's prefix, `[81, VOCAB]`.
    fn rows(&self) -> Tensor<2> {
        let prefixes: Vec<i32> = sequences()
            .into_iter()
            .flat_map(|(_, prefixes)| prefixes)
            .map(|prefix| prefix as i32)
            .collect();
        let count = prefixes.len();
        let prefixes = Tensor::from_data(TensorData::new(prefixes, [count]), &self.0.device());
        self.0.clone().select(0, prefixes)
    }
}

/// Every sequence once, each as likely as `sampler` draws it.
fn expected_batch(policy: &Language, sampler: &Language) -> TokenBatch {
    let column = |tensor: Tensor<2>| values(tensor.flatten::<1>(0, 1));
    let draws: Vec<Draw> = column(policy.of_tokens())
        .into_iter()
        .zip(column(sampler.of_tokens()))
        .map(|(policy, sampler)| Draw {
            policy: policy as f32,
            sampler: sampler as f32,
        })
        .collect();
    let rows: Vec<_> = sequences()
        .into_iter()
        .zip(draws.chunks(LENGTH))
        .map(|((tokens, _), draws)| Rollout {
            prompt: vec![0],
            tokens,
            draws: draws.to_vec(),
            finish: FinishReason::Length,
        })
        .map(|rollout| rollout.row())
        .collect();
    let mut batch = TokenBatch::from_rows(&rows, 0, &plain_device());
    let weights = sampler.of_sequences().exp().unsqueeze_dim::<2>(1);
    batch.rows.weights = Some(weights.repeat_dim(1, LENGTH).flatten::<1>(0, 1));
    batch
}

/// The gradient for the student's logits, and the values of the terms.
fn gradient(
    objective: &impl Objective,
    student: &Language,
    teacher: Prediction,
    batch: &TokenBatch,
) -> (Vec<f64>, Vec<f64>) {
    let leaf = student.0.clone().autodiff().require_grad();
    let student = Language(leaf.clone());
    let identity = Tensor::<2>::eye(VOCAB, &plain_device()).cast(DType::F64);
    let view = StudentView {
        hidden: student.rows(),
        head: LmHead::new(identity),
        tapped: Tapped::default(),
    };
    let teacher = TeacherSignal {
        prediction: teacher,
        tapped: Tapped::default(),
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &teacher,
        batch,
    };
    objective.terms(input, &mut terms);
    let sums: Vec<f64> = terms
        .iter()
        .map(|term| values(term.sum.clone().without_autodiff())[0])
        .collect();
    let loss = terms.into_iter().map(|term| term.sum).reduce(|a, b| a + b);
    let gradients = loss.unwrap().backward();
    (values(leaf.grad(&gradients).unwrap()), sums)
}

/// The gradient of an exact quantity for the student's logits.
fn exact(student: &Language, quantity: impl FnOnce(&Language) -> Tensor<1>) -> (Vec<f64>, f64) {
    let leaf = student.0.clone().autodiff().require_grad();
    let value = quantity(&Language(leaf.clone()));
    let gradients = value.backward();
    let value = values(value.without_autodiff())[0];
    (values(leaf.grad(&gradients).unwrap()), value)
}

fn sequence_reverse_kl(student: &Language, teacher: &Language) -> (Vec<f64>, f64) {
    exact(student, |q| {
        let log_q = q.of_sequences();
        (log_q.clone().exp() * (log_q - teacher.of_sequences())).sum()
    })
}

/// Reverse KL of each token, for prefixes that `prefixes` draws and the gradient leaves alone.
fn token_reverse_kl(
    student: &Language,
    teacher: &Language,
    prefixes: &Language,
) -> (Vec<f64>, f64) {
    let weights = prefixes.of_sequences().exp().unsqueeze_dim::<2>(1);
    let weights = weights.repeat_dim(1, LENGTH).flatten::<1>(0, 1);
    exact(student, |q| {
        let log_q = log_softmax(q.rows(), 1);
        let log_p = log_softmax(teacher.rows(), 1);
        let rows = (log_q.clone().exp() * (log_q - log_p)).sum_dim(1);
        (rows.squeeze_dim::<1>(1) * weights).sum()
    })
}

#[track_caller]
fn same(found: &[f64], expected: &[f64]) {
    let scale = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    assert!(scale > 1e-3, "the exact gradient is not 0");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-5 * scale.max(1.0),
            "{found} {expected}"
        );
    }
}

fn languages() -> (Language, Language, Language) {
    let device = plain_device();
    (
        Language::new(1, &device),
        Language::new(2, &device),
        Language::new(3, &device),
    )
}

fn plain() -> SequenceReverseKlConfig {
    SequenceReverseKlConfig::new().with_length_normalized(false)
}

#[test]
fn the_expected_policy_gradient_is_that_of_the_reverse_kl_of_sequences() {
    let (student, teacher, _) = languages();
    let batch = expected_batch(&student, &student);
    let (expected, divergence) = sequence_reverse_kl(&student, &teacher);
    for single_step in [true, false] {
        let objective = plain().with_single_step(single_step).init().unwrap();
        let dense = Prediction::Dense(teacher.rows());
        let (found, sums) = gradient(&objective, &student, dense, &batch);
        same(&found, &expected);
        if single_step {
            assert!((sums[0] - divergence).abs() < 1e-6, "{sums:?} {divergence}");
        }
    }
}

#[test]
fn no_setting_but_those_that_bias_it_changes_the_expectation() {
    let (student, teacher, _) = languages();
    let batch = expected_batch(&student, &student);
    let dense = || Prediction::Dense(teacher.rows());
    let (expected, _) = sequence_reverse_kl(&student, &teacher);
    // On-policy every ratio is 1, so the clip and the importance weights do nothing.
    let objective = plain()
        .with_clip(Some(0.2))
        .with_importance_in_single_step(true);
    let (found, _) = gradient(&objective.init().unwrap(), &student, dense(), &batch);
    same(&found, &expected);
    for objective in [
        SequenceReverseKlConfig::minillm(),
        plain().with_discount(0.5),
    ] {
        let (found, _) = gradient(&objective.init().unwrap(), &student, dense(), &batch);
        let distance = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(distance.sum::<f64>() > 1e-3);
    }
}

#[test]
fn leaving_one_out_changes_the_variance_but_not_the_expectation() {
    // Two independent sequences a batch: all 27 · 27 pairs, weighted by how likely they are.
    let (student, teacher, _) = languages();
    let (expected, _) = sequence_reverse_kl(&student, &teacher);
    let probabilities = values(student.of_sequences().exp());
    let all = expected_batch(&student, &student);
    let drawn = all.drawn.unwrap();
    let (rewards, log_p) = (
        values(drawn.policy),
        values(teacher.of_tokens().flatten::<1>(0, 1)),
    );
    let rewards: Vec<f32> = log_p
        .iter()
        .zip(&rewards)
        .map(|(p, q)| (p - q) as f32)
        .collect();
    let advantage = |pair: [usize; 2]| {
        let of = |n: usize| &rewards[n * LENGTH..(n + 1) * LENGTH];
        let both = TensorData::new([of(pair[0]), of(pair[1])].concat(), [2 * LENGTH]);
        let sequences = returns::Sequences::new(&[LENGTH, LENGTH], &plain_device());
        let rewards = Tensor::from_data(both, &plain_device());
        let future = sequences.futures(rewards.clone(), 1.0, false) + rewards;
        values(future.clone() - sequences.others(future))
    };
    // E[Σ_t (R_t − b_t) ∂log q(y_t)], of the first sequence of the pair.
    let mut coefficients = vec![0.0; VOCAB.pow(3) * LENGTH];
    for first in 0..27 {
        for second in 0..27 {
            let weight = probabilities[first] * probabilities[second];
            for (place, value) in advantage([first, second])[..LENGTH].iter().enumerate() {
                coefficients[first * LENGTH + place] += weight * value;
            }
        }
    }
    let shape = [27, LENGTH];
    let data = TensorData::new(coefficients, shape);
    let coefficients = Tensor::<2>::from_data(data, (&plain_device(), DType::F64));
    let (found, _) = exact(&student, |q| -(q.of_tokens() * coefficients).sum());
    same(&found, &expected);
}

#[test]
fn sampled_reverse_kl_has_the_gradient_of_reverse_kl_at_the_prefixes_that_were_drawn() {
    let (student, teacher, other) = languages();
    let objective = SampledReverseKlConfig::new().init().unwrap();
    let batch = expected_batch(&student, &student);
    let dense = Prediction::Dense(teacher.rows());
    let (found, sums) = gradient(&objective, &student, dense.clone(), &batch);
    let (expected, divergence) = token_reverse_kl(&student, &teacher, &student);
    same(&found, &expected);
    assert!((sums[0] - divergence).abs() < 1e-6, "{sums:?} {divergence}");

    // Drawn by somebody else, with the importance of each token.
    let batch = expected_batch(&student, &other);
    let (found, sums) = gradient(&objective, &student, dense, &batch);
    let (expected, divergence) = token_reverse_kl(&student, &teacher, &other);
    same(&found, &expected);
    assert!((sums[0] - divergence).abs() < 1e-6, "{sums:?} {divergence}");
}

#[test]
fn one_probability_a_token_is_enough_of_a_teacher() {
    let (student, teacher, _) = languages();
    let batch = expected_batch(&student, &student);
    let log_probs = teacher.of_tokens().reshape([81, 1]);
    let sparse = Prediction::Sparse {
        token_ids: batch.row_targets().unsqueeze_dim::<2>(1),
        support: Support::TopK {
            tail: (-log_probs.clone().exp() + 1.0).log().squeeze_dim::<1>(1),
        },
        log_probs,
    };
    let sampled = SampledReverseKlConfig::new().init().unwrap();
    let (found, _) = gradient(&sampled, &student, sparse.clone(), &batch);
    same(&found, &token_reverse_kl(&student, &teacher, &student).0);
    let sequence = plain().with_single_step(false).init().unwrap();
    let (found, _) = gradient(&sequence, &student, sparse, &batch);
    same(&found, &sequence_reverse_kl(&student, &teacher).0);
}

#[test]
fn a_token_that_is_not_named_shares_the_rest() {
    let device = plain_device();
    let prediction = Prediction::Sparse {
        token_ids: Tensor::from_ints([[4, 2], [4, 2]], &device),
        log_probs: Tensor::from_floats([[-0.5, -2.0], [-0.5, -2.0]], &device),
        support: Support::TopK {
            tail: Tensor::from_floats([-1.5, -1.5], &device),
        },
    };
    let targets = Tensor::<1, Int>::from_ints([2, 3], &device);
    let found = values(target_log_probs(&prediction, &targets, 6, None));
    assert!((found[0] + 2.0).abs() < 1e-6);
    assert!((found[1] - (-1.5 - 4f64.ln())).abs() < 1e-6);
}

#[test]
fn an_old_draw_earns_nothing_beyond_the_clip() {
    let column = |values: [f32; 4]| Tensor::<1>::from_floats(values, &plain_device());
    let log_ratio = column([0.5f32.ln(), 2f32.ln(), 0.5f32.ln(), 2f32.ln()]);
    let advantage = column([1.0, 1.0, -1.0, -1.0]);
    let gain = sampled_reverse_kl::clipped_gain(log_ratio, advantage, Some(0.2));
    for (found, expected) in values(gain).iter().zip([0.5, 1.2, -0.8, -2.0]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn the_single_step_alone_is_the_reverse_kl_of_tokens() {
    let (student, teacher, _) = languages();
    let batch = expected_batch(&student, &student);
    let soft = SoftTarget::new(Divergence::ReverseKl);
    let dense = Prediction::Dense(teacher.rows());
    let (found, _) = gradient(&soft, &student, dense, &batch);
    same(&found, &token_reverse_kl(&student, &teacher, &student).0);
}

#[test]
#[should_panic(expected = "this objective learns from rollouts")]
fn text_that_nobody_drew_is_refused() {
    let (student, teacher, _) = languages();
    let mut batch = expected_batch(&student, &student);
    batch.drawn = None;
    let objective = SampledReverseKlConfig::new().init().unwrap();
    let dense = Prediction::Dense(teacher.rows());
    let _ = gradient(&objective, &student, dense, &batch);
}

#[test]
fn settings_outside_their_range_are_refused() {
    let refused = plain().with_clip(Some(1.5)).init().unwrap_err().to_string();
    assert_eq!(refused, "clip is 1.5, it must be between 0 and 1");
    assert!(plain().with_discount(1.1).init().is_err());
    assert!(
        SampledReverseKlConfig::new()
            .with_clip(Some(0.0))
            .init()
            .is_err()
    );
    assert_eq!(Module::num_params(&plain().init().unwrap()), 0);
}
