//! What does attention cost, forward and backward, next to burn's operations?

use benches::{BATCH, SEQ, few_samples};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use potstill::burn::tensor::activation::softmax;
use potstill::burn::tensor::{Device, Distribution, Tensor};
use potstill_kernels::{AttentionMask, AttentionOptions, attention, use_portable_bodies};

const HEADS: usize = 9;
const KV_HEADS: usize = 3;
const HEAD_DIM: usize = 64;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = training, teacher, long_row, decoding
}
criterion_main!(benches);

/// Forward and backward of one layer.
fn training(criterion: &mut Criterion) {
    let inputs = Inputs::new(BATCH, SEQ, &Device::default().autodiff());
    let mut group = group(criterion, "attention_training", BATCH * SEQ);
    for (name, portable) in [("fused", false), ("portable", true)] {
        use_portable_bodies(portable);
        group.bench_function(name, |bencher| {
            bencher.iter(|| inputs.differentiate(&Inputs::attend));
        });
    }
    use_portable_bodies(false);
    group.bench_function("burn", |bencher| {
        bencher.iter(|| inputs.differentiate(&Inputs::compose));
    });
    group.finish();
}

/// Forward of one layer.
fn teacher(criterion: &mut Criterion) {
    let inputs = Inputs::new(BATCH, SEQ, &Device::default());
    let mut group = group(criterion, "attention_teacher", BATCH * SEQ);
    group.bench_function("fused", |bencher| bencher.iter(|| inputs.attend()));
    group.bench_function("burn", |bencher| bencher.iter(|| inputs.compose()));
    group.finish();
}

/// Forward and backward where a matrix of all scores would take 151 MB.
fn long_row(criterion: &mut Criterion) {
    let inputs = Inputs::new(1, 2048, &Device::default().autodiff());
    let mut group = group(criterion, "attention_long_row", 2048);
    group.bench_function("fused", |bencher| {
        bencher.iter(|| inputs.differentiate(&Inputs::attend));
    });
    group.finish();
}

/// One new column of 16 rows behind 255.
fn decoding(criterion: &mut Criterion) {
    let (batch, columns) = (16, 256);
    let device = Device::default();
    let inputs = Inputs::new(batch, columns, &device);
    let cache = |x: &Tensor<4>| x.clone().swap_dims(1, 2) * 1.0;
    let (keys, values) = (cache(&inputs.key), cache(&inputs.value));
    let query = inputs.query.clone().narrow(1, columns - 1, 1);
    let mask = AttentionMask::of_cache(&vec![0; batch], columns, 1, None);
    let mut group = group(criterion, "attention_decoding", batch);
    group.bench_function("fused", |bencher| {
        bencher.iter(|| {
            attention(
                query.clone(),
                keys.clone().swap_dims(1, 2),
                values.clone().swap_dims(1, 2),
                &mask,
                AttentionOptions::default(),
            )
        });
    });
    group.finish();
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    tokens: usize,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(tokens as u64));
    group
}

/// What projections give, and the gradient of the context.
struct Inputs {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    upstream: Tensor<4>,
    mask: AttentionMask,
    /// Of the query heads that share a key head, one below the other.
    bias: Tensor<4>,
}

impl Inputs {
    fn new(batch: usize, seq: usize, device: &Device) -> Self {
        let plain = device.clone().without_autodiff();
        let normal = |heads, device: &Device| {
            let shape = [batch, seq, heads, HEAD_DIM];
            let tensor = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
            if device.is_autodiff() {
                tensor.require_grad()
            } else {
                tensor
            }
        };
        let mask = AttentionMask::causal(seq, None);
        let bias = mask.bias(&plain).expect("a causal mask hides something");
        Self {
            query: normal(HEADS, device),
            key: normal(KV_HEADS, device),
            value: normal(KV_HEADS, device),
            upstream: normal(HEADS, &plain),
            bias: bias.repeat_dim(2, HEADS / KV_HEADS),
            mask,
        }
    }

    fn attend(&self) -> Tensor<4> {
        let (query, key, value) = (self.query.clone(), self.key.clone(), self.value.clone());
        attention(query, key, value, &self.mask, AttentionOptions::default())
    }

    /// The same from burn's operations.
    fn compose(&self) -> Tensor<4> {
        let [batch, seq, _, _] = self.query.dims();
        let stacked = [batch, KV_HEADS, HEADS / KV_HEADS * seq, HEAD_DIM];
        let query = self.query.clone().swap_dims(1, 2).reshape(stacked);
        let key = self.key.clone().swap_dims(1, 2);
        let value = self.value.clone().swap_dims(1, 2);
        let scale = (HEAD_DIM as f64).sqrt().recip();
        let scores = (query * scale).matmul(key.swap_dims(2, 3)) + self.bias.clone();
        let context = softmax(scores, 3).matmul(value);
        context
            .reshape([batch, HEADS, seq, HEAD_DIM])
            .swap_dims(1, 2)
    }

    fn differentiate(&self, operation: &dyn Fn(&Self) -> Tensor<4>) -> [Option<Tensor<4>>; 3] {
        let gradients = (operation(self) * self.upstream.clone()).sum().backward();
        [&self.query, &self.key, &self.value].map(|input| input.grad(&gradients))
    }
}
