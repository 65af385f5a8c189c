//! Recomputed blocks give the gradients of kept ones.

use burn::optim::GradientsParams;
use potstill_core::{CausalLm, Taps, TokenBatch, TokenRow};

use crate::{AdapterConfig, Architecture, LanguageModel, Matrices, ModelConfig, WeightBlocks};

use super::*;

fn batch(device: &Device) -> TokenBatch {
    let row = |shift: u32| {
        let tokens: Vec<u32> = (0..7).map(|i| (i * i + shift) % 13).collect();
        TokenRow::document(&tokens, &[1.0; 7])
    };
    TokenBatch::from_rows(&[row(1), row(5)], 0, device)
}

/// Each trained parameter's gradient, by its place among all.
#[derive(Default)]
struct All {
    gradients: GradientsParams,
    found: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for All {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.remove::<D>(param.id);
        let values = gradient.map(|it| it.into_data().iter::<f32>().collect());
        self.found.push(values);
    }
}

fn gradients(model: &LanguageModel, taps: &Taps) -> Vec<Option<Vec<f32>>> {
    let device = model.devices().remove(0);
    let encoded = model.encode(&batch(&device), taps);
    let mut loss = model
        .head()
        .logits(encoded.hidden.flatten(0, 1))
        .sin()
        .sum();
    for (_, hidden) in encoded.tapped.hidden {
        loss = loss + hidden.sin().sum();
    }
    for (_, map) in encoded.tapped.attention {
        loss = loss + map.sin().sum();
    }
    let gradients = GradientsParams::from_grads(loss.backward(), model);
    let mut all = All {
        gradients,
        found: Vec::new(),
    };
    model.visit(&mut all);
    all.found
}

#[test]
fn recomputed_blocks_give_the_gradients_of_kept_ones() {
    let taps = Taps::hidden([0, 1, 3]).union(&Taps::attention([1]));
    for architecture in [Architecture::Llama, Architecture::Qwen3, Architecture::Gpt2] {
        let config = ModelConfig {
            max_positions: 16,
            initializer_range: 0.2,
            ..ModelConfig::new(architecture, 13, 32, 3, 2)
        };
        let plain = Device::default().autodiff();
        let model = LanguageModel::init(&config, 3, &plain);
        let adapted = model.clone().with_adapters(&AdapterConfig::new(2));
        let rounded = model
            .clone()
            .rounded_when_read(WeightBlocks::Int4, &Matrices::All);
        for model in [model, adapted.unwrap(), rounded.unwrap()] {
            let again = model.clone().fork(&plain.clone().gradient_checkpointing());
            for taps in [&Taps::default(), &taps] {
                let kept = gradients(&model, taps);
                assert!(kept.iter().flatten().count() > 10);
                assert_eq!(gradients(&again, taps), kept, "{architecture:?}");
            }
        }
    }
}
