//! How many tokens does greedy decoding give, alone and in a batch?

use benches::{few_samples, smollm2, tokens};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use potstill::burn::tensor::Device;
use potstill::core::{Generate, GenerateOptions};
use potstill::models::LanguageModel;

const LAYERS: usize = 4;
const PROMPT: usize = 32;
const NEW_TOKENS: usize = 32;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = greedy
}
criterion_main!(benches);

fn greedy(criterion: &mut Criterion) {
    let model = LanguageModel::init(&smollm2(LAYERS), 1, &Device::default());
    let options = GenerateOptions::greedy(NEW_TOKENS);

    let mut group = criterion.benchmark_group("decode");
    group.sampling_mode(SamplingMode::Flat);
    for batch in [1, 16] {
        let prompts: Vec<Vec<u32>> = (0..batch).map(|row| tokens(PROMPT, row)).collect();
        group.throughput(Throughput::Elements(
            prompts.len() as u64 * NEW_TOKENS as u64,
        ));
        group.bench_function(BenchmarkId::new("greedy", batch), |bencher| {
            bencher.iter(|| model.generate(&prompts, &options).expect("the prompts fit"));
        });
    }
    group.finish();
}
