//! How many tokens does greedy decoding give, alone and in a batch, from weights of f32, of half
//! precision and of 8 bits? SmolLM2-135M, all 30 layers.

use benches::{few_samples, smollm2, tokens};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use potstill::burn::module::{Module, ModuleMapper, Param};
use potstill::burn::tensor::{DType, Device, FloatDType, Tensor};
use potstill::core::{Generate, GenerateOptions, Sampling};
use potstill::models::{LanguageModel, Matrices, WeightBlocks};

const LAYERS: usize = 30;
const PROMPT: usize = 32;
const NEW_TOKENS: usize = 32;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = decode
}
criterion_main!(benches);

fn decode(criterion: &mut Criterion) {
    let model = LanguageModel::init(&smollm2(LAYERS), 1, &Device::default());
    let greedy = GenerateOptions::greedy(NEW_TOKENS);
    let sampled = GenerateOptions {
        sampling: Sampling::temperature(1.0),
        ..greedy.clone()
    };
    generate(criterion, "f32", &model, &greedy);
    generate(criterion, "f32_sampled", &model, &sampled);
    for (name, dtype) in [("bf16", FloatDType::BF16), ("f16", FloatDType::F16)] {
        generate(
            criterion,
            name,
            &model.clone().map(&mut Cast(dtype)),
            &greedy,
        );
    }
    let quantized = model.quantized(WeightBlocks::Int8, &Matrices::All);
    let quantized = quantized.expect("blocks fill the matrices");
    generate(criterion, "int8", &quantized, &greedy);
    // Embeddings and head are not quantized, and a fifth of the weights.
    let small = quantized.map(&mut Cast(FloatDType::BF16));
    generate(criterion, "int8_bf16", &small, &greedy);
}

/// Prompts and all.
fn generate(
    criterion: &mut Criterion,
    name: &str,
    model: &LanguageModel,
    options: &GenerateOptions,
) {
    let mut group = criterion.benchmark_group("decode");
    group.sampling_mode(SamplingMode::Flat);
    for batch in [1, 4, 16] {
        let prompts: Vec<Vec<u32>> = (0..batch).map(|row| tokens(PROMPT, row)).collect();
        let new_tokens = prompts.len() as u64 * NEW_TOKENS as u64;
        group.throughput(Throughput::Elements(new_tokens));
        group.bench_function(BenchmarkId::new(name, batch), |bencher| {
            bencher.iter(|| model.generate(&prompts, options).expect("the prompts fit"));
        });
    }
    group.finish();
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| match tensor.dtype() {
            DType::QFloat(_) => tensor,
            _ => tensor.cast(self.0),
        })
    }
}
