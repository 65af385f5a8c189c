//! Tests of parts that are computed twice.

use potstill_testkit::{autodiff_device, plain_device, values};

use super::*;

/// `weight · tanh(x) + x`, or what a weight that nothing hangs on makes of it.
#[derive(Debug)]
struct Bend {
    weight: Tensor<1>,
}

fn bend(x: Tensor<3>, weight: Tensor<1>) -> Tensor<3> {
    x.clone().tanh() * weight.unsqueeze() + x
}

impl Recompute for Bend {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        bend(x, self.weight.clone())
    }

    fn backward(&self, x: Tensor<3>, gradient: Tensor<3>) -> RecomputedGradients {
        let x = x.autodiff().require_grad();
        let weight = self.weight.clone().autodiff().require_grad();
        let y = bend(x.clone(), weight.clone());
        let gradients = (y * gradient.autodiff()).sum().backward();
        RecomputedGradients {
            x: x.grad(&gradients).expect("the output hangs on x"),
            parameters: vec![weight.grad(&gradients).map(Tensor::into_dispatch), None],
        }
    }
}

fn input(device: &Device) -> (Tensor<3>, Tensor<1>) {
    (
        Tensor::from_data([[[0.5, -1.0], [2.0, 0.1]]], device),
        Tensor::from_data([3.0, -2.0], device),
    )
}

#[test]
fn it_is_the_same_as_what_is_kept() {
    let run = |again: bool| {
        let (x, weight) = input(&autodiff_device());
        let (x, weight) = (x.require_grad(), weight.require_grad());
        let unused = Tensor::<2>::ones([2, 2], &autodiff_device()).require_grad();
        // Two of them in a row, between other operations.
        let mut y = x.clone() * 2.0;
        for _ in 0..2 {
            y = if again {
                let parameters = [
                    weight.clone().into_dispatch(),
                    unused.clone().into_dispatch(),
                ];
                let weight = weight.clone().without_autodiff();
                recomputed(y, parameters.to_vec(), Arc::new(Bend { weight }))
            } else {
                bend(y, weight.clone())
            };
        }
        let gradients = y.clone().exp().sum().backward();
        assert!(unused.grad(&gradients).is_none());
        let x = x.grad(&gradients).expect("the output hangs on it");
        let weight = weight.grad(&gradients).expect("the output hangs on it");
        (values(&y), values(&x), values(&weight))
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn without_autodiff_it_is_computed_once() {
    let (x, weight) = input(&plain_device());
    let part = Arc::new(Bend {
        weight: weight.clone(),
    });
    let y = recomputed(x.clone(), vec![weight.clone().into_dispatch()], part);
    assert!(!y.is_autodiff());
    assert_eq!(values(&y), values(&bend(x, weight)));
}

#[test]
fn what_is_frozen_stays_so() {
    let (x, weight) = input(&autodiff_device());
    let x = x.require_grad();
    let part = Arc::new(Bend {
        weight: weight.clone().without_autodiff(),
    });
    let parameters = vec![
        weight.clone().into_dispatch(),
        weight.clone().into_dispatch(),
    ];
    let gradients = recomputed(x.clone(), parameters, part).sum().backward();
    assert!(x.grad(&gradients).is_some());
    assert!(weight.grad(&gradients).is_none());
}
