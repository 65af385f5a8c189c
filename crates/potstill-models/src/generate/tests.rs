//! Continuations of random models.

mod references;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use potstill_core::{Sampling, StopRule, TokenBatch, TokenRow};

use super::*;
use crate::{Architecture, ModelConfig};

fn model() -> LanguageModel {
    let mut config = ModelConfig::new(Architecture::Llama, 50, 24, 2, 4);
    config.n_kv_heads = 2;
    config.max_positions = 64;
    config.initializer_range = 0.4;
    LanguageModel::init(&config, 3, &Device::default())
}

fn prompts() -> Vec<Vec<u32>> {
    vec![
        vec![5, 6, 7, 8, 9],
        vec![11],
        vec![3, 1, 4, 1, 5, 9, 2, 6],
        vec![40, 41],
    ]
}

fn sampled(max_new_tokens: usize) -> GenerateOptions {
    let sampling = Sampling {
        top_k: Some(20),
        top_p: Some(0.95),
        repetition_penalty: 1.1,
        ..Sampling::temperature(0.8)
    };
    GenerateOptions {
        sampling,
        seed: 17,
        ..GenerateOptions::greedy(max_new_tokens)
    }
}

#[test]
fn greedy_is_the_most_likely_token_of_a_full_pass() {
    let model = model();
    let prompt = vec![5, 6, 7, 8];
    let options = GenerateOptions::greedy(6);
    let generated = model
        .generate(std::slice::from_ref(&prompt), &options)
        .unwrap()
        .remove(0);
    let text = [prompt, generated.tokens.clone()].concat();
    let weights: Vec<f32> = (0..text.len())
        .map(|i| if i < 4 { 0.0 } else { 1.0 })
        .collect();
    let batch = TokenBatch::from_rows(
        &[TokenRow::document(&text, &weights)],
        0,
        &Device::default(),
    );
    let log_q = burn::tensor::activation::log_softmax(model.row_logits(&batch), 1);
    let best = log_q
        .clone()
        .argmax(1)
        .into_data()
        .iter::<u32>()
        .collect::<Vec<_>>();
    assert_eq!(best, generated.tokens);
    let log_probs: Vec<f32> = log_q.max_dim(1).into_data().iter::<f32>().collect();
    for (expected, found) in log_probs.iter().zip(&generated.log_probs) {
        assert!((expected - found).abs() < 1e-4, "{expected} {found}");
    }
}

#[test]
fn a_prompt_is_continued_alike_alone_and_with_others() {
    let model = model();
    for options in [GenerateOptions::greedy(12), sampled(12)] {
        let together = model.generate(&prompts(), &options).unwrap();
        let mut reversed: Vec<Vec<u32>> = prompts();
        reversed.reverse();
        let mut backwards = model.generate(&reversed, &options).unwrap();
        backwards.reverse();
        for (index, prompt) in prompts().into_iter().enumerate() {
            let alone = model.generate(&[prompt], &options).unwrap();
            assert_eq!(alone[0].tokens, together[index].tokens);
            assert_eq!(backwards[index].tokens, together[index].tokens);
        }
    }
}

#[test]
fn a_row_that_ends_leaves_the_others_unchanged() {
    let model = model();
    let full = model.generate(&prompts(), &sampled(12)).unwrap();
    let stop = full[2].tokens[3];
    let options = GenerateOptions {
        stop_tokens: vec![stop],
        ..sampled(12)
    };
    let stopped = model.generate(&prompts(), &options).unwrap();
    assert_eq!(stopped[2].finish, FinishReason::StopToken(stop));
    for (full, stopped) in full.iter().zip(&stopped) {
        let end = full
            .tokens
            .iter()
            .position(|&token| token == stop)
            .map_or(12, |at| at + 1);
        assert_eq!(stopped.tokens, full.tokens[..end]);
        assert_eq!(stopped.log_probs.len(), stopped.tokens.len());
    }
}

#[test]
fn a_stop_rule_sees_only_what_was_generated() {
    let rule = StopRule::new(|generated: &[u32]| generated.len() == 3);
    let options = GenerateOptions {
        stop_rule: Some(rule),
        ..sampled(12)
    };
    for generation in model().generate(&prompts(), &options).unwrap() {
        assert_eq!(
            (generation.tokens.len(), generation.finish),
            (3, FinishReason::StopRule)
        );
    }
}

#[test]
fn the_seed_decides_and_copies_of_a_prompt_differ() {
    let model = model();
    let prompts = vec![vec![5, 6]; 3];
    let hot = |seed| {
        let sampling = Sampling::temperature(2.0);
        let options = GenerateOptions {
            sampling,
            seed,
            ..GenerateOptions::greedy(10)
        };
        model.generate(&prompts, &options).unwrap()
    };
    let first = hot(1);
    assert_eq!(first, hot(1));
    assert_ne!(first[0].tokens, hot(2)[0].tokens);
    assert_ne!(first[0].tokens, first[1].tokens);
}

#[test]
fn a_model_on_an_autodiff_device_generates_the_same() {
    let model = model();
    let tracked = model.clone().fork(&Device::default().autodiff());
    let options = GenerateOptions::greedy(5);
    let generate = |model: &LanguageModel| model.generate(&prompts(), &options).unwrap();
    assert_eq!(generate(&model), generate(&tracked));
}

#[test]
fn no_new_tokens_and_no_prompts_are_fine() {
    let model = model();
    assert_eq!(
        model.generate(&[], &GenerateOptions::greedy(3)),
        Ok(Vec::new())
    );
    let none = model
        .generate(&prompts(), &GenerateOptions::greedy(0))
        .unwrap();
    assert!(
        none.iter()
            .all(|one| one.tokens.is_empty() && one.finish == FinishReason::Length)
    );
}

#[test]
fn the_last_position_can_be_reached() {
    let prompt = vec![1; 60];
    let generated = model()
        .generate(&[prompt], &GenerateOptions::greedy(4))
        .unwrap();
    assert_eq!(generated[0].tokens.len(), 4);
}

#[test]
fn a_prompt_that_cannot_be_continued_is_named() {
    let model = model();
    let error = |prompt: Vec<u32>, options: &GenerateOptions| {
        model.generate(&[vec![1], prompt], options).unwrap_err()
    };
    let greedy = GenerateOptions::greedy(4);
    assert_eq!(
        error(vec![], &greedy),
        GenerateError::EmptyPrompt { prompt: 1 }
    );
    assert_eq!(
        error(vec![50], &greedy),
        GenerateError::UnknownToken {
            prompt: 1,
            token: 50,
            vocab_size: 50
        }
    );
    assert!(matches!(
        error(vec![1; 61], &greedy),
        GenerateError::TooLong {
            prompt: 1,
            length: 61,
            max_new_tokens: 4,
            max_positions: 64
        }
    ));
    let endless = GenerateOptions::greedy(usize::MAX);
    assert!(matches!(
        error(vec![1], &endless),
        GenerateError::TooLong { prompt: 0, .. }
    ));
    let cold = GenerateOptions {
        sampling: Sampling::temperature(-1.0),
        ..greedy
    };
    assert!(matches!(
        error(vec![1], &cold),
        GenerateError::Sampling {
            name: "temperature",
            ..
        }
    ));
}

#[test]
fn batches_are_only_cut_where_they_are_too_large() {
    let ends = |lengths: &[usize], max_new_tokens| -> Vec<usize> {
        batches(lengths, max_new_tokens, 100)
            .iter()
            .map(|batch| batch.end)
            .collect()
    };
    assert_eq!(ends(&[1, 2, 3], 10), [3]);
    assert!(ends(&[], 10).is_empty());
    assert_eq!(ends(&[1, 49, 49, 50], 1), [2, 3, 4]);
    assert_eq!(ends(&[200], 1), [1]);
}

/// What a future gives that never has to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_text_comes_token_by_token_as_it_comes_whole() {
    let model = model();
    let stop = model.generate(&prompts(), &sampled(9)).unwrap()[0].tokens[6];
    for options in [
        GenerateOptions::greedy(7),
        sampled(9),
        GenerateOptions {
            stop_tokens: vec![stop],
            ..sampled(9)
        },
        GenerateOptions::greedy(0),
    ] {
        let whole = model.generate(&prompts(), &options).unwrap();
        for (prompt, whole) in prompts().iter().zip(whole) {
            let mut text = Continuation::new(&model, prompt, &options).unwrap();
            let mut length = 0;
            while now(text.step()).unwrap() {
                length += 1;
                assert_eq!(text.tokens(), &whole.tokens[..length]);
            }
            assert_eq!(length, whole.tokens.len());
            assert_eq!(text.finish(), Some(whole.finish));
        }
    }
}

#[test]
fn a_prompt_that_cannot_be_continued_whole_cannot_be_token_by_token() {
    let model = model();
    for prompt in [vec![], vec![99], vec![1; 60]] {
        let options = GenerateOptions::greedy(8);
        let expected = model.generate(std::slice::from_ref(&prompt), &options);
        let found = Continuation::new(&model, &prompt, &options);
        assert_eq!(found.unwrap_err(), expected.unwrap_err());
    }
}
