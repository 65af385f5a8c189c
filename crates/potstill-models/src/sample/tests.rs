//! What each filter keeps, and what holds for all of them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

fn sampler(sampling: Sampling, seed: u64) -> Sampler {
    Sampler::new(sampling, &[], ChaCha8Rng::seed_from_u64(seed))
}

/// The tokens that a sampler may draw.
fn kept(logits: &[f32], sampling: Sampling) -> BTreeSet<u32> {
    let candidates = sampler(sampling, 0).candidates(logits);
    filter::keep(candidates, &sampling)
        .into_iter()
        .map(|(token, _)| token)
        .collect()
}

fn logs<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
    probabilities.map(f32::ln)
}

#[test]
fn greedy_takes_the_first_of_the_largest() {
    let choice = sampler(Sampling::greedy(), 0)
        .choose(&[1.0, 3.0, 3.0, f32::NAN])
        .unwrap();
    assert_eq!(choice.token, 1);
}

#[test]
fn the_log_probability_ignores_temperature_filters_and_penalty() {
    let sampling = Sampling {
        top_k: Some(1),
        repetition_penalty: 1.2,
        ..Sampling::temperature(0.3)
    };
    let mut sampler = Sampler::new(sampling, &[0], ChaCha8Rng::seed_from_u64(0));
    let choice = sampler.choose(&logs([0.7, 0.2, 0.1])).unwrap();
    assert_eq!(choice.token, 0);
    assert!((choice.log_prob - 0.7f32.ln()).abs() < 1e-6);
}

#[test]
fn top_k_keeps_ties() {
    let sampling = Sampling {
        top_k: Some(2),
        ..Sampling::temperature(1.0)
    };
    assert_eq!(
        kept(&[0.0, 2.0, 1.0, 1.0, -1.0], sampling),
        BTreeSet::from([1, 2, 3])
    );
    let all = Sampling {
        top_k: Some(9),
        ..sampling
    };
    assert_eq!(kept(&[0.0, 2.0], all).len(), 2);
}

#[test]
fn top_p_keeps_the_token_that_crosses_the_mass() {
    let logits = logs([0.5, 0.3, 0.15, 0.05]);
    let with = |p: f64| {
        kept(
            &logits,
            Sampling {
                top_p: Some(p),
                ..Sampling::temperature(1.0)
            },
        )
    };
    assert_eq!(with(1e-9), BTreeSet::from([0]));
    assert_eq!(with(0.45), BTreeSet::from([0]));
    assert_eq!(with(0.55), BTreeSet::from([0, 1]));
    assert_eq!(with(0.9), BTreeSet::from([0, 1, 2]));
    assert_eq!(with(1.0).len(), 4);
}

#[test]
fn min_p_is_relative_to_the_likeliest() {
    let logits = logs([0.5, 0.3, 0.15, 0.05]);
    let with = |p: f64| {
        kept(
            &logits,
            Sampling {
                min_p: Some(p),
                ..Sampling::temperature(1.0)
            },
        )
    };
    assert_eq!(with(0.59), BTreeSet::from([0, 1]));
    assert_eq!(with(0.0).len(), 4);
    assert_eq!(with(1.0), BTreeSet::from([0]));
}

#[test]
fn temperature_comes_before_the_filters() {
    let logits = logs([0.5, 0.3, 0.15, 0.05]);
    let flat = Sampling {
        min_p: Some(0.59),
        ..Sampling::temperature(4.0)
    };
    assert_eq!(kept(&logits, flat).len(), 3);
}

#[test]
fn tokens_seen_before_are_penalized_on_either_side_of_zero() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        ..Sampling::greedy()
    };
    let sampler = Sampler::new(sampling, &[2, 0, 2], ChaCha8Rng::seed_from_u64(0));
    let logits: Vec<f64> = sampler
        .candidates(&[4.0, 1.0, -1.0])
        .iter()
        .map(|c| c.1)
        .collect();
    assert_eq!(logits, [2.0, 1.0, -2.0]);
}

#[test]
fn a_chosen_token_is_penalized_from_then_on() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        ..Sampling::greedy()
    };
    let mut sampler = sampler(sampling, 0);
    let tokens: Vec<u32> = (0..3)
        .map(|_| sampler.choose(&[3.0, 2.0]).unwrap().token)
        .collect();
    assert_eq!(tokens, [0, 1, 0]);
}

#[test]
fn no_finite_logit_is_no_choice() {
    for sampling in [Sampling::greedy(), Sampling::temperature(1.0)] {
        for logits in [[f32::NEG_INFINITY; 3], [f32::NAN; 3], [f32::INFINITY; 3]] {
            assert_eq!(sampler(sampling, 0).choose(&logits), None);
        }
    }
}

#[test]
fn frequencies_follow_the_distribution() {
    let logits = logs([0.5, 0.3, 0.2]);
    let mut sampler = sampler(Sampling::temperature(1.0), 7);
    let mut counts = [0.0f64; 3];
    for _ in 0..20_000 {
        counts[sampler.choose(&logits).unwrap().token as usize] += 1.0 / 20_000.0;
    }
    for (count, expected) in counts.iter().zip([0.5, 0.3, 0.2]) {
        assert!((count - expected).abs() < 0.015, "{counts:?}");
    }
}

#[test]
fn a_stream_depends_on_the_prompt_and_its_repetition_but_not_on_others() {
    let draw = |mut random: ChaCha8Rng| random.random::<u64>();
    let (a, b) = ([1, 2, 3], [1, 2, 4]);
    let mut streams = Streams::new(5);
    let [first, other, again] = [&a, &b, &a].map(|prompt| draw(streams.next(prompt)));
    assert_eq!(draw(Streams::new(5).next(&b)), other);
    assert_eq!(draw(Streams::new(5).next(&a)), first);
    assert!(first != other && first != again);
    assert_ne!(draw(Streams::new(6).next(&a)), first);
}

fn any_sampling() -> impl Strategy<Value = Sampling> {
    (
        0.01..5.0f64,
        prop::option::of(1..40usize),
        prop::option::of(0.001..=1.0f64),
        prop::option::of(0.0..=1.0f64),
        0.5..2.0f64,
    )
        .prop_map(
            |(temperature, top_k, top_p, min_p, repetition_penalty)| Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
            },
        )
}

fn any_logits() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        8 => -30.0..30.0f32,
        1 => Just(f32::NEG_INFINITY),
        1 => Just(f32::NAN),
        1 => Just(f32::MAX),
    ];
    prop::collection::vec(logit, 1..300)
}

proptest! {
    #[test]
    fn a_choice_is_finite_and_kept(sampling in any_sampling(), logits in any_logits(), seed: u64) {
        let chosen = sampler(sampling, seed).choose(&logits);
        prop_assert_eq!(chosen.is_some(), logits.iter().any(|logit| logit.is_finite()));
        if let Some(choice) = chosen {
            prop_assert!(logits[choice.token as usize].is_finite());
            prop_assert!(kept(&logits, sampling).contains(&choice.token));
            prop_assert!(choice.log_prob <= 0.0);
        }
    }

    #[test]
    fn the_likeliest_token_is_always_kept(sampling in any_sampling(), logits in any_logits()) {
        let candidates = sampler(sampling, 0).candidates(&logits);
        if let Some(likeliest) = filter::likeliest(&candidates) {
            prop_assert!(kept(&logits, sampling).contains(&likeliest));
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_with_the_mass(logits in prop::collection::vec(-9.0..9.0f32, 1..600), p in 0.01..0.999f64) {
        let sampling = Sampling { top_p: Some(p), ..Sampling::temperature(1.0) };
        let kept = kept(&logits, sampling);
        let mut weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
        weights.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = weights.iter().sum();
        let mass = |n: usize| weights[..n].iter().sum::<f64>() / total;
        prop_assert!(mass(kept.len()) >= p - 1e-9);
        prop_assert!(mass(kept.len() - 1) < p + 1e-9);
    }
}
