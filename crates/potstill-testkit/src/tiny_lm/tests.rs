//! The tiny model is causal, differentiable and reproducible.

use potstill_core::TokenRow;

use super::*;
use crate::{Tolerance, assert_close, autodiff_device, plain_device, values};

fn batch(rows: &[TokenRow]) -> TokenBatch {
    TokenBatch::from_rows(rows, 0, &plain_device())
}

#[test]
fn the_seed_decides_the_weights() {
    let logits = |seed| {
        let model = TinyLm::new(11, 6, 2, seed, &plain_device());
        values(&model.row_logits(&batch(&[TokenRow::document(&[1, 2, 3, 4], &[1.0; 4])])))
    };
    assert_eq!(logits(1), logits(1));
    assert_ne!(logits(1), logits(2));
}

#[test]
fn packing_does_not_let_documents_see_each_other() {
    let model = TinyLm::new(11, 6, 3, 1, &plain_device());
    let mut packed = TokenRow::document(&[1, 2, 3], &[1.0; 3]);
    packed.push_document(&[4, 5, 6, 7], &[1.0; 4]);
    let alone = [
        TokenRow::document(&[1, 2, 3], &[1.0; 3]),
        TokenRow::document(&[4, 5, 6, 7], &[1.0; 4]),
    ];
    assert_close(
        &values(&model.row_logits(&batch(&[packed]))),
        &values(&model.row_logits(&batch(&alone))),
        Tolerance::absolute(1e-6),
    );
}

#[test]
fn the_future_is_not_seen() {
    let model = TinyLm::new(11, 6, 3, 1, &plain_device());
    let first = |tokens: &[u32]| {
        let row = TokenRow::document(tokens, &vec![1.0; tokens.len()]);
        values(&model.row_logits(&batch(&[row])).narrow(0, 0, 2))
    };
    assert_eq!(first(&[1, 2, 3, 4, 5]), first(&[1, 2, 9, 8, 5]));
    assert_ne!(first(&[1, 2, 3, 4, 5]), first(&[3, 2, 3, 4, 5]));
}

#[test]
fn taps_are_numbered_from_the_embeddings() {
    let model = TinyLm::new(11, 6, 2, 1, &plain_device());
    let batch = batch(&[TokenRow::document(&[1, 2, 3], &[1.0; 3])]);
    let encoded = model.encode(&batch, &Taps::hidden([0, 1, 2]));
    assert_eq!(values(&encoded.tapped.hidden(2)), values(&encoded.hidden));
    assert_eq!(
        values(&encoded.tapped.hidden(0))[..6],
        values(&model.embedding.val().narrow(0, 1, 1))[..]
    );
}

#[test]
fn every_parameter_gets_a_gradient() {
    let model = TinyLm::new(11, 6, 2, 1, &autodiff_device());
    let batch = batch(&[TokenRow::document(&[1, 2, 3, 4], &[1.0; 4])]);
    let gradients = model.row_logits(&batch).square().sum().backward();
    let block = &model.blocks[0];
    for parameter in [
        &model.embedding,
        &block.current,
        &block.previous,
        &block.out,
    ] {
        let gradient = parameter.grad(&gradients).unwrap();
        assert!(values(&gradient).iter().any(|value| *value != 0.0));
    }
    assert!(model.norm.grad(&gradients).is_some() && block.bias.grad(&gradients).is_some());
}
