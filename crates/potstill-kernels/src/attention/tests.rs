//! Tests of attention.

use burn::prelude::*;
use burn::tensor::DType;
use potstill_testkit::{
    Tolerance, assert_close, autodiff_device, normals, plain_device, tensor_f64, values,
};
use proptest::prelude::*;

use super::{AttentionMask, AttentionOptions, attention};
use crate::check::{
    Input, assert_bodies_agree, assert_gradients, assert_threads_change_nothing, normal,
};

/// Sizes of a case, and what is seen.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    seq: usize,
    kv_heads: usize,
    groups: usize,
    dim: usize,
    causal: bool,
    window: Option<usize>,
    segments: Option<Vec<i32>>,
    softcap: Option<f64>,
}

impl Case {
    fn causal(batch: usize, seq: usize, [kv_heads, groups]: [usize; 2], dim: usize) -> Self {
        Self {
            batch,
            seq,
            kv_heads,
            groups,
            dim,
            causal: true,
            window: None,
            segments: None,
            softcap: None,
        }
    }

    fn mask(&self) -> AttentionMask {
        let mask = if self.causal {
            AttentionMask::causal(self.seq, self.window)
        } else {
            AttentionMask::bidirectional(self.seq)
        };
        match &self.segments {
            Some(segments) => {
                let data = TensorData::new(segments.clone(), [self.batch, self.seq]);
                mask.within_segments(Tensor::from_data(data, &plain_device()))
            }
            None => mask,
        }
    }

    fn options(&self) -> AttentionOptions {
        AttentionOptions {
            scale: None,
            softcap: self.softcap,
        }
    }

    fn inputs(&self, seed: u64) -> [Input; 3] {
        let rows = self.batch * self.seq;
        let heads = self.kv_heads * self.groups;
        [
            normal([rows, heads * self.dim], seed),
            normal([rows, self.kv_heads * self.dim], seed + 1),
            normal([rows, self.kv_heads * self.dim], seed + 2),
        ]
    }

    fn attend(&self, [query, key, value]: [Tensor<2>; 3]) -> Tensor<4> {
        let split = |x: Tensor<2>, heads| x.reshape([self.batch, self.seq, heads, self.dim]);
        attention(
            split(query, self.kv_heads * self.groups),
            split(key, self.kv_heads),
            split(value, self.kv_heads),
            &self.mask(),
            self.options(),
        )
    }

    fn sees(&self, batch: usize, query: usize, key: usize) -> bool {
        let segment = |column| self.segments.as_ref().map(|s| s[batch * self.seq + column]);
        let recent = self.window.is_none_or(|window| key + window > query);
        segment(query) == segment(key) && (!self.causal || (key <= query && recent))
    }

    /// The formula, one number at a time.
    fn reference(&self, [query, key, value]: &[Input; 3]) -> Vec<f64> {
        let heads = self.kv_heads * self.groups;
        let mut context = Vec::new();
        for row in 0..self.batch * self.seq {
            let (batch, position) = (row / self.seq, row % self.seq);
            for head in 0..heads {
                let kv_head = head / self.groups;
                let at = |row: usize| (row * self.kv_heads + kv_head) * self.dim;
                let query = &query.0[(row * heads + head) * self.dim..][..self.dim];
                let seen: Vec<usize> = (0..self.seq)
                    .filter(|&column| self.sees(batch, position, column))
                    .map(|column| at(batch * self.seq + column))
                    .collect();
                let weights: Vec<f64> = seen
                    .iter()
                    .map(|&key_at| {
                        let key = &key.0[key_at..][..self.dim];
                        let product: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                        let score = product / (self.dim as f64).sqrt();
                        self.softcap
                            .map_or(score, |cap| cap * (score / cap).tanh())
                            .exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                context.extend((0..self.dim).map(|channel| {
                    let values = seen.iter().map(|value_at| value.0[value_at + channel]);
                    values.zip(&weights).map(|(v, w)| v * w).sum::<f64>() / sum
                }));
            }
        }
        context
    }
}

fn variants() -> Vec<Case> {
    let plain = Case::causal(2, 6, [2, 3], 3);
    vec![
        plain.clone(),
        Case {
            causal: false,
            ..plain.clone()
        },
        Case {
            window: Some(2),
            ..plain.clone()
        },
        Case {
            segments: Some(vec![0, 1, 1, 1, 2, 2, 1, 1, 1, 1, 0, 0]),
            ..plain.clone()
        },
        Case {
            // Padding on both sides sees itself.
            segments: Some(vec![0, 1, 1, 1, 0, 0, 1, 2, 1, 2, 1, 2]),
            window: Some(3),
            ..plain.clone()
        },
        Case {
            softcap: Some(0.7),
            ..plain
        },
    ]
}

#[test]
fn both_bodies_follow_the_formula() {
    for case in variants() {
        let inputs = case.inputs(3);
        let expected = case.reference(&inputs);
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let tensors = inputs.each_ref().map(|(values, shape)| {
                let data = TensorData::new(values.clone(), *shape);
                Tensor::from_data(data, (&plain_device(), dtype))
            });
            let tolerance = Tolerance {
                absolute: tolerance,
                relative: tolerance,
            };
            assert_close(&values(&case.attend(tensors)), &expected, tolerance);
        }
    }
}

#[test]
fn the_gradients_agree_with_finite_differences() {
    for case in variants() {
        assert_gradients(&case.inputs(5), |inputs| case.attend(inputs));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let case = Case::causal(2, 131, [2, 2], 40);
    assert_threads_change_nothing(&case.inputs(7), |inputs| case.attend(inputs));
}

#[test]
fn frozen_inputs_get_no_gradient() {
    let case = Case::causal(1, 9, [1, 2], 4);
    let inputs = case.inputs(11);
    let results = crate::check::run(DType::F32, &inputs, 1, |inputs| case.attend(inputs));
    for tracked in 0..3 {
        let tensors = std::array::from_fn(|i| {
            let (values, shape) = inputs[i].clone();
            let device = if i == tracked {
                autodiff_device()
            } else {
                plain_device()
            };
            let tensor = Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32));
            if i == tracked {
                tensor.require_grad()
            } else {
                tensor
            }
        });
        let context = case.attend(tensors.clone());
        let upstream = normals(context.shape().num_elements(), 1.0, 1);
        let upstream = TensorData::new(upstream, context.shape());
        let upstream = Tensor::<4>::from_data(upstream, (&plain_device(), DType::F32));
        let gradients = (context * upstream).sum().backward();
        let gradient = tensors[tracked].grad(&gradients).expect("it is tracked");
        assert_eq!(values(&gradient), results[tracked + 1]);
    }
}

#[test]
fn views_are_read_in_place() {
    let case = Case::causal(2, 37, [2, 1], 5);
    let inputs = case.inputs(13);
    let device = plain_device();
    let expected = case.reference(&inputs);
    let joined: Vec<Tensor<3>> = inputs
        .iter()
        .map(|(values, [rows, width])| {
            tensor_f64(values, [*rows, *width])
                .cast(burn::tensor::FloatDType::F32)
                .reshape([case.batch, case.seq, *width])
        })
        .collect();
    let joined = Tensor::cat(joined, 2).to_device(&device);
    let part = |i: usize| {
        let part = joined.clone().narrow(2, i * 10, 10);
        part.reshape([case.batch, case.seq, 2, case.dim])
    };
    let context = attention(part(0), part(1), part(2), &case.mask(), case.options());
    let tolerance = Tolerance {
        absolute: 1e-5,
        relative: 1e-5,
    };
    assert_close(&values(&context), &expected, tolerance);
}

/// Feeds a sequence in pieces, as a cache does, and compares with all of it at once.
fn check_cache(dtype: DType, pieces: &[usize], window: Option<usize>) {
    let columns: usize = pieces.iter().sum();
    let case = Case {
        window,
        segments: Some(
            [0, 3]
                .into_iter()
                .flat_map(|padding| (0..columns).map(move |column| i32::from(column >= padding)))
                .collect(),
        ),
        ..Case::causal(2, columns, [2, 3], 8)
    };
    let inputs = case.inputs(17);
    let all = case.reference(&inputs);
    let device = plain_device();
    let room = columns + 5;
    let split = |i: usize, heads| {
        let (values, shape) = inputs[i].clone();
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, dtype))
            .reshape([2, columns, heads, 8])
    };
    let cache = |i| {
        let stored = Tensor::zeros([2, 2, room, 8], (&device, dtype));
        stored.slice_assign(s![.., .., 0..columns, ..], split(i, 2).swap_dims(1, 2))
    };
    let (keys, cached_values) = (cache(1), cache(2));
    let mut start = 0;
    for &new in pieces {
        let end = start + new;
        let so_far = |stored: &Tensor<4>| stored.clone().narrow(2, 0, end).swap_dims(1, 2);
        let context = attention(
            split(0, 6).narrow(1, start, new),
            so_far(&keys),
            so_far(&cached_values),
            &AttentionMask::of_cache(&[0, 3], end, new, window),
            AttentionOptions::default(),
        );
        let context = values(&context);
        for (batch, context) in context.chunks(new * 48).enumerate() {
            // What padding sees has no meaning.
            let padding = [0usize, 3][batch].saturating_sub(start).min(new);
            let expected = &all[(batch * columns + start) * 48..][..new * 48];
            let tolerance = Tolerance {
                absolute: 1e-5,
                relative: 1e-5,
            };
            assert_close(
                &context[padding * 48..],
                &expected[padding * 48..],
                tolerance,
            );
            assert!(context.iter().all(|value| value.is_finite()));
        }
        start = end;
    }
}

#[test]
fn a_cache_continues_a_sequence() {
    for dtype in [DType::F32, DType::F64] {
        for window in [None, Some(1), Some(40)] {
            check_cache(dtype, &[5, 1, 1, 2, 70, 1, 3], window);
        }
    }
}

#[test]
fn a_cache_that_hides_nothing_needs_no_bias() {
    let device = plain_device();
    let bias = |padding: &[usize], new, window| {
        AttentionMask::of_cache(padding, 7, new, window).bias(&device)
    };
    assert!(bias(&[0, 0], 1, None).is_none());
    assert!(bias(&[0, 0], 1, Some(7)).is_none());
    assert!(bias(&[0, 0], 1, Some(6)).is_some());
    assert!(bias(&[0, 1], 1, None).is_some());
    assert!(bias(&[0, 0], 2, None).is_some());
}

#[test]
fn large_scores_stay_finite() {
    let case = Case::causal(1, 50, [1, 1], 4);
    let inputs = case.inputs(19).map(|(values, shape)| {
        let values = values.into_iter().map(|value| value * 300.0).collect();
        (values, shape)
    });
    let results = crate::check::run(DType::F32, &inputs, 1, |inputs| case.attend(inputs));
    for result in results {
        assert!(result.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn an_empty_batch_has_an_empty_context() {
    for dtype in [DType::F32, DType::F64] {
        let zeros = |heads| {
            let device = autodiff_device();
            Tensor::<4>::zeros([0, 5, heads, 4], (&device, dtype)).require_grad()
        };
        let (query, key) = (zeros(4), zeros(2));
        let mask = AttentionMask::causal(5, None);
        let options = AttentionOptions::default();
        let context = attention(query.clone(), key.clone(), zeros(2), &mask, options);
        assert_eq!(context.dims(), query.dims());
        let gradients = context.sum().backward();
        let gradient = key.grad(&gradients).expect("it is part of the graph");
        assert_eq!(gradient.dims(), key.dims());
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (1usize..3, 1usize..140, 1usize..3, 1usize..4, 1usize..70);
    let mask = (any::<bool>(), prop::option::of(1usize..80), 0u8..3);
    let rest = (prop::option::of(1.0f64..20.0), any::<u64>());
    (sizes, mask, rest).prop_map(
        |((batch, seq, kv_heads, groups, dim), (causal, window, kind), (softcap, seed))| {
            let mut numbers = seed;
            let mut below = |limit: u64| {
                numbers = numbers
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (numbers >> 33) % limit
            };
            let segments = match kind {
                0 => None,
                // Runs, as packed rows have them.
                1 => {
                    let mut segment = 0;
                    let next = |_| {
                        segment += i32::from(below(30) == 0);
                        segment
                    };
                    Some((0..batch * seq).map(next).collect())
                }
                // Any order.
                _ => Some((0..batch * seq).map(|_| below(3) as i32).collect()),
            };
            Case {
                batch,
                seq,
                kv_heads,
                groups,
                dim,
                causal,
                window: window.filter(|_| causal),
                segments,
                softcap,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn flex_agrees_with_the_portable_body(case in cases(), seed: u16) {
        let seed = u64::from(seed);
        assert_bodies_agree(&case.inputs(seed), seed + 3, |inputs| case.attend(inputs));
    }
}
