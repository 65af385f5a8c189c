//! Agreement with `transformers`.

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::{CausalLm, Encoded, Taps};
use potstill_models::Checkpoint;
use potstill_testkit::plain_device;

use crate::fixture::{CAUSAL, Expected, assert_rows, floats, folder, language_model};

const TOLERANCE: f32 = 2e-4;

fn all_taps(n_layers: usize) -> Taps {
    Taps::hidden(0..=n_layers).union(&Taps::attention(0..n_layers))
}

fn check_taps(name: &str, encoded: &Encoded, expected: &Expected, n_layers: usize) {
    let counted = expected.counted();
    let [_, seq, d_model] = encoded.hidden.dims();
    for layer in 0..=n_layers {
        let what = format!("{name}, hidden state {layer}");
        let reference = expected.floats(&format!("hidden_states.{layer}"));
        let actual = floats(&encoded.tapped.hidden(layer));
        assert_rows(&what, &actual, &reference, &counted, d_model, TOLERANCE);
    }
    assert!(!expected.has(&format!("hidden_states.{}", n_layers + 1)));
    for layer in 0..n_layers {
        let what = format!("{name}, attention map {layer}");
        let reference = expected.floats(&format!("attentions.{layer}"));
        let map = encoded.tapped.attention(layer);
        let n_heads = map.dims()[1];
        let rows: Vec<usize> = counted
            .iter()
            .flat_map(|i| (0..n_heads).map(move |head| (i / seq * n_heads + head) * seq + i % seq))
            .collect();
        assert_rows(&what, &floats(&map), &reference, &rows, seq, TOLERANCE);
    }
}

#[test]
fn causal_models_agree_with_transformers() {
    for name in CAUSAL {
        let model = language_model(name);
        let expected = Expected::of(name);
        let batch = expected.batch();
        let encoded = model.encode(&batch, &all_taps(model.n_layers()));
        check_taps(name, &encoded, &expected, model.n_layers());
        let [rows, seq, d_model] = encoded.hidden.dims();
        let logits = model
            .head()
            .logits(encoded.hidden.reshape([rows * seq, d_model]));
        let vocab = model.vocab_size();
        let reference = expected.floats("logits");
        let counted = expected.counted();
        assert_rows(
            name,
            &floats(&logits),
            &reference,
            &counted,
            vocab,
            TOLERANCE,
        );

        // Without taps, another attention kernel runs.
        let logits: Vec<f32> = floats(&model.row_logits(&batch));
        let reference: Vec<f32> = counted
            .iter()
            .flat_map(|&row| reference[row * vocab..(row + 1) * vocab].to_vec())
            .collect();
        let all: Vec<usize> = (0..counted.len()).collect();
        assert_rows(name, &logits, &reference, &all, vocab, TOLERANCE);
    }
}

#[test]
fn bert_agrees_with_transformers() {
    let device = plain_device();
    let checkpoint = Checkpoint::open(folder("bert")).unwrap();
    let model = checkpoint.bert_encoder(FloatDType::F32, &device).unwrap();
    let expected = Expected::of("bert");
    let [rows, seq] = expected.shape;
    let mut batch = expected.batch();
    let columns = Tensor::<1, Int>::arange(0..seq as i64, &device);
    batch.positions = columns.unsqueeze::<2>().repeat_dim(0, rows);
    let n_layers = model.config().n_layers;
    let encoded = model.encode(&batch, &all_taps(n_layers));
    check_taps("bert", &encoded, &expected, n_layers);
    let reference = expected.floats("last_hidden_state");
    let (counted, d_model) = (expected.counted(), model.config().d_model);
    let actual = floats(&encoded.hidden);
    assert_rows("bert", &actual, &reference, &counted, d_model, TOLERANCE);
    assert_eq!(model.pool(encoded.hidden).unwrap().dims(), [rows, d_model]);
}

#[test]
fn half_precision_stays_close_to_f32() {
    for name in CAUSAL {
        let batch = Expected::of(name).batch();
        let reference = language_model(name).row_logits(&batch);
        let scale = reference.clone().abs().max().into_scalar::<f32>();
        for (dtype, tolerance) in [(FloatDType::F16, 2e-2), (FloatDType::BF16, 1e-1)] {
            let checkpoint = Checkpoint::open(folder(name)).unwrap();
            let model = checkpoint.language_model(dtype, &plain_device()).unwrap();
            for taps in [Taps::default(), all_taps(model.n_layers())] {
                let encoded = model.encode(&batch, &taps);
                let logits = model.head().logits(batch.rows.select(encoded.hidden));
                let error = (logits - reference.clone())
                    .abs()
                    .max()
                    .into_scalar::<f32>();
                assert!(
                    error < tolerance * scale,
                    "{name} in {dtype:?}: {error} of {scale}"
                );
            }
        }
    }
}
