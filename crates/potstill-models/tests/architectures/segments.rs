//! A document gives the same logits alone, padded and packed.

use potstill_core::{CausalLm, TokenBatch};
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_testkit::plain_device;

use crate::fixture::floats;

/// Shapes that the reference checkpoints lack: one key head, wide heads, untied heads, biases,
/// a window.
pub(crate) fn models() -> Vec<LanguageModel> {
    let architectures = [
        Architecture::Llama,
        Architecture::Mistral,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Gpt2,
    ];
    architectures
        .iter()
        .map(|&architecture| {
            let mut config = ModelConfig::new(architecture, 41, 24, 2, 4);
            config.max_positions = 64;
            config.initializer_range = 0.3;
            if architecture != Architecture::Gpt2 {
                config.n_kv_heads = if architecture == Architecture::Qwen2 {
                    2
                } else {
                    1
                };
                config.head_dim = 10;
                config.tie_word_embeddings = architecture == Architecture::Llama;
            }
            if matches!(architecture, Architecture::Llama | Architecture::Qwen3) {
                config.qkv_bias = true;
                config.output_bias = true;
            }
            if architecture == Architecture::Mistral {
                config.sliding_window = Some(3);
            }
            LanguageModel::init(&config, 5, &plain_device())
        })
        .collect()
}

/// Logits of every position of segments other than 0, row by row.
pub(crate) fn logits(model: &LanguageModel, rows: &[(&[u32], &[u32])]) -> Vec<Vec<f32>> {
    let seq = rows[0].0.len();
    let tokens: Vec<u32> = rows
        .iter()
        .flat_map(|(tokens, _)| tokens.to_vec())
        .collect();
    let segments: Vec<u32> = rows
        .iter()
        .flat_map(|(_, segments)| segments.to_vec())
        .collect();
    let weights: Vec<f32> = segments
        .iter()
        .map(|&s| if s == 0 { 0.0 } else { 1.0 })
        .collect();
    let shape = [rows.len(), seq];
    let batch = TokenBatch::new(
        shape,
        &tokens,
        &segments,
        &tokens,
        &weights,
        &plain_device(),
    );
    floats(&model.row_logits(&batch))
        .chunks(model.vocab_size())
        .map(<[f32]>::to_vec)
        .collect()
}

#[track_caller]
pub(crate) fn assert_close(model: &LanguageModel, actual: &[Vec<f32>], expected: &[Vec<f32>]) {
    let name = model.config().architecture.name();
    assert_eq!(actual.len(), expected.len(), "{name}");
    for (position, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        for (a, e) in actual.iter().zip(expected) {
            assert!(
                (a - e).abs() < 2e-5,
                "{name}, position {position}: {a} instead of {e}"
            );
        }
    }
}

#[test]
fn padding_on_either_side_changes_nothing() {
    for model in models() {
        let alone = logits(&model, &[(&[7, 8, 9, 10, 11], &[1; 5])]);
        let left = logits(
            &model,
            &[(&[0, 0, 7, 8, 9, 10, 11], &[0, 0, 1, 1, 1, 1, 1])],
        );
        let right = logits(
            &model,
            &[(&[7, 8, 9, 10, 11, 3, 3], &[1, 1, 1, 1, 1, 0, 0])],
        );
        assert_close(&model, &left, &alone);
        assert_close(&model, &right, &alone);
    }
}

#[test]
fn packed_documents_do_not_see_each_other() {
    for model in models() {
        let first = logits(&model, &[(&[7, 8, 9, 10], &[1; 4])]);
        let second = logits(&model, &[(&[20, 21, 22], &[1; 3])]);
        let packed = logits(
            &model,
            &[(&[7, 8, 9, 10, 20, 21, 22, 0], &[1, 1, 1, 1, 2, 2, 2, 0])],
        );
        assert_close(&model, &packed, &[first, second].concat());
    }
}

#[test]
fn attention_is_causal() {
    for model in models() {
        let one = logits(&model, &[(&[7, 8, 9, 10], &[1; 4])]);
        let other = logits(&model, &[(&[7, 8, 30, 31], &[1; 4])]);
        assert_close(&model, &other[..2], &one[..2]);
        assert_ne!(other[2], one[2]);
    }
}

#[test]
fn a_window_hides_what_is_far_away() {
    let model = models().swap_remove(1);
    // Two layers of three positions each: the last position sees back to position 2 of 6.
    let one = logits(&model, &[(&[7, 8, 9, 10, 11, 12], &[1; 6])]);
    let far = logits(&model, &[(&[30, 8, 9, 10, 11, 12], &[1; 6])]);
    let near = logits(&model, &[(&[7, 30, 9, 10, 11, 12], &[1; 6])]);
    assert_close(&model, &far[5..], &one[5..]);
    assert_ne!(near[4], one[4]);
}

#[test]
#[should_panic(expected = "a segment of 65 tokens does not fit the model's 64 positions")]
fn a_segment_longer_than_the_positions_is_a_bug_of_the_caller() {
    let model = models().swap_remove(0);
    let _ = logits(&model, &[(&[1; 65], &[1; 65])]);
}
