//! How fast are the weights of a model read by products of few rows, which is what decoding is, and
//! what do fewer bytes a weight bring? The blocks of SmolLM2-135M.

use std::time::Duration;

use benches::normal;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use potstill::burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use potstill::burn::tensor::{Device, FloatDType, Tensor};
use potstill_kernels::linear;

/// Query and output, key and value, gate and up, down.
const MATRICES: [[usize; 2]; 7] = [
    [576, 576],
    [576, 192],
    [576, 192],
    [576, 576],
    [576, 1536],
    [576, 1536],
    [1536, 576],
];

const LAYERS: usize = 30;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = few_rows
}
criterion_main!(benches);

fn few_rows(criterion: &mut Criterion) {
    let device = Device::default();
    device.seed(1);
    let weights: Vec<Tensor<2>> = (0..LAYERS)
        .flat_map(|_| MATRICES)
        .map(|shape| normal(shape, 0.05, &device))
        .collect();
    let elements: usize = weights
        .iter()
        .map(|weight| weight.dims().iter().product::<usize>())
        .sum();
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native)
        .per_block([32, 1], ScaleDtype::F32);
    let kinds = [
        ("f32", 4.0, weights.clone()),
        ("bf16", 2.0, cast(&weights, FloatDType::BF16)),
        (
            "int8",
            1.125,
            weights
                .iter()
                .map(|weight| weight.clone().quantize_dynamic(&scheme))
                .collect(),
        ),
    ];
    let mut group = criterion.benchmark_group("few_rows");
    group.sampling_mode(SamplingMode::Flat);
    for (name, bytes, weights) in kinds {
        group.throughput(Throughput::Bytes((elements as f64 * bytes) as u64));
        for rows in [1, 4, 16] {
            let inputs = [576, 1536].map(|width| normal([rows, width], 1.0, &device));
            group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                // In the pool, as generation is.
                bencher.iter(|| {
                    rayon::scope(|_| {
                        for weight in &weights {
                            let x = &inputs[usize::from(weight.dims()[0] == 1536)];
                            let _ = linear(x.clone(), weight.clone(), None);
                        }
                    });
                });
            });
        }
    }
    group.finish();
}

fn cast(weights: &[Tensor<2>], dtype: FloatDType) -> Vec<Tensor<2>> {
    weights
        .iter()
        .map(|weight| weight.clone().cast(dtype))
        .collect()
}
