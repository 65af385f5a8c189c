//! What do the blocks of a model cost, as a teacher (forward) and as a student (forward and
//! backward)?

use benches::{BATCH, SEQ, few_samples, smollm2, token_batch};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use potstill::burn::tensor::Device;
use potstill::core::{CausalLm, Taps};
use potstill::models::LanguageModel;

const LAYERS: usize = 4;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = encode
}
criterion_main!(benches);

fn encode(criterion: &mut Criterion) {
    let device = Device::default();
    let teacher = LanguageModel::init(&smollm2(LAYERS), 1, &device);
    let student = LanguageModel::init(&smollm2(LAYERS), 1, &device.clone().autodiff());
    let batch = token_batch(&device);
    let taps = Taps::default();

    let mut group = criterion.benchmark_group("model");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements((BATCH * SEQ) as u64));
    group.bench_function("forward", |bencher| {
        bencher.iter(|| teacher.encode(&batch, &taps).hidden);
    });
    group.bench_function("forward_and_backward", |bencher| {
        bencher.iter(|| student.encode(&batch, &taps).hidden.sum().backward());
    });
    group.finish();
}
