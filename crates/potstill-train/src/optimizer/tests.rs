//! AdamW against its formula, and which parameters decay.

use super::*;
use burn::optim::GradientsParams;
use potstill_testkit::{TinyLm, autodiff_device, values};

#[test]
fn norms_and_biases_do_not_decay() {
    let model = TinyLm::new(7, 4, 1, 0, &autodiff_device());
    let paths = |decayed| {
        AdamWConfig {
            decayed,
            ..AdamWConfig::default()
        }
        .decayed_paths(&model)
    };
    let blocks = ["blocks.0.current", "blocks.0.previous", "blocks.0.out"];
    assert_eq!(paths(Decayed::MatricesExceptEmbeddings), blocks);
    assert_eq!(
        paths(Decayed::Matrices),
        [&["embedding"], &blocks[..]].concat()
    );
    assert_eq!(paths(Decayed::Everything).len(), 6);
}

#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    gain: Param<Tensor<1>>,
}

const MATRIX: [f64; 2] = [0.5, -1.5];
const GAIN: [f64; 2] = [1.0, -2.0];

fn pair() -> Pair {
    let device = autodiff_device();
    Pair {
        matrix: Param::from_tensor(Tensor::<2>::from_floats(
            [MATRIX.map(|x| x as f32)],
            &device,
        )),
        gain: Param::from_tensor(Tensor::<1>::from_floats(GAIN.map(|x| x as f32), &device)),
    }
}

/// The formula of the module docs, in f64.
fn reference(start: f64, gradients: &[f64], config: &AdamWConfig, decay: f64, rate: f64) -> f64 {
    let (mut theta, mut m, mut v) = (start, 0.0, 0.0);
    for (i, g) in gradients.iter().enumerate() {
        let t = i32::try_from(i).unwrap() + 1;
        m = config.beta_1 * m + (1.0 - config.beta_1) * g;
        v = config.beta_2 * v + (1.0 - config.beta_2) * g * g;
        let m_hat = m / (1.0 - config.beta_1.powi(t));
        let v_hat = v / (1.0 - config.beta_2.powi(t));
        theta = theta * (1.0 - rate * decay) - rate * m_hat / (v_hat.sqrt() + config.epsilon);
    }
    theta
}

#[test]
fn the_update_is_pytorchs_and_a_gain_does_not_decay() {
    let config = AdamWConfig {
        weight_decay: 0.3,
        ..AdamWConfig::default()
    };
    let rate = 0.05;
    let mut model = pair();
    let mut optimizer = config.init(&model);
    let slopes: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.7).sin() * 3.0).collect();
    for slope in &slopes {
        let loss = (model.matrix.val().sum() + model.gain.val().sum()).mul_scalar(*slope);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(rate, model, gradients);
    }
    for (actual, start, decay) in [
        (values(&model.matrix.val().inner()), MATRIX, 0.3),
        (values(&model.gain.val().inner()), GAIN, 0.0),
    ] {
        for (actual, start) in actual.into_iter().zip(start) {
            let expected = reference(start, &slopes, &config, decay, rate);
            assert!((actual - expected).abs() < 1e-5, "{actual} {expected}");
        }
    }
}

#[test]
fn a_gradient_of_zero_moves_only_what_decays() {
    let config = AdamWConfig {
        weight_decay: 0.5,
        ..AdamWConfig::default()
    };
    let model = pair();
    let loss = (model.matrix.val().sum() + model.gain.val().sum()) * 0.0;
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let model = config.init(&model).step(0.1, model, gradients);
    assert_eq!(values(&model.gain.val().inner()), GAIN);
    for (actual, start) in values(&model.matrix.val().inner()).into_iter().zip(MATRIX) {
        assert!((actual - start * 0.95).abs() < 1e-6, "{actual}");
    }
}
