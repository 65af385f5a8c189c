//! How long does the next token take, and how many tokens does greedy decoding give, alone and in a
//! batch? SmolLM2-135M, all 30 layers.

use benches::{few_samples, smollm2, tokens};
use criterion::{
    BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use potstill::burn::module::{Module, ModuleMapper, Param};
use potstill::burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use potstill::core::{Generate, GenerateOptions};
use potstill::models::{KvCache, LanguageModel};

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
    next_token(criterion, "f32", &model);
    greedy(criterion, &model);
    let half = model.map(&mut Cast(FloatDType::BF16));
    next_token(criterion, "bf16", &half);
}

/// One step behind a prompt: every weight is read once.
fn next_token(criterion: &mut Criterion, dtype: &str, model: &LanguageModel) {
    let mut group = criterion.benchmark_group("next_token");
    group.sampling_mode(SamplingMode::Flat);
    for batch in [1, 4, 16] {
        let mut cache = KvCache::new(vec![0; batch], PROMPT + 1);
        let prompts = (0..batch as u32).flat_map(|row| tokens(PROMPT, row));
        let _ = model.next_logits(ids(prompts, batch), &mut cache);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new(dtype, batch), |bencher| {
            bencher.iter_batched_ref(
                || cache.clone(),
                |cache| model.next_logits(ids(0..batch as u32, batch), cache),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Prompts and all.
fn greedy(criterion: &mut Criterion, model: &LanguageModel) {
    let options = GenerateOptions::greedy(NEW_TOKENS);
    let mut group = criterion.benchmark_group("greedy");
    group.sampling_mode(SamplingMode::Flat);
    for batch in [1, 16] {
        let prompts: Vec<Vec<u32>> = (0..batch).map(|row| tokens(PROMPT, row)).collect();
        let new_tokens = prompts.len() as u64 * NEW_TOKENS as u64;
        group.throughput(Throughput::Elements(new_tokens));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter(|| model.generate(&prompts, &options).expect("the prompts fit"));
        });
    }
    group.finish();
}

fn ids(tokens: impl Iterator<Item = u32>, rows: usize) -> Tensor<2, Int> {
    let tokens: Vec<i32> = tokens.map(u32::cast_signed).collect();
    let columns = tokens.len() / rows;
    Tensor::from_data(TensorData::new(tokens, [rows, columns]), &Device::default())
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}
