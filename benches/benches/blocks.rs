//! What do the fused operations around the matrix products save? Each forward and backward, as the
//! models use it, against its portable body; then whole layers.

use benches::{BATCH, D_MODEL, SEQ, VOCAB, few_samples, normal, smollm2, token_batch};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use potstill::burn::tensor::{Device, Distribution, Gradients, Int, Tensor, TensorData, module};
use potstill::core::{CausalLm, Taps};
use potstill::models::LanguageModel;
use potstill_kernels::{
    Activation, activate, embedding, gated, layer_norm, linear, rms_norm, rotate_halves,
    use_portable_bodies,
};

const ROWS: usize = BATCH * SEQ;
const D_FF: usize = 1536;
const HEADS: usize = 9;
const LAYERS: usize = 4;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = operations, tied_embedding, layers
}
criterion_main!(benches);

type Case = Box<dyn Fn() -> Gradients>;
type LookUp = fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>;

/// A matrix whose gradient is asked for.
fn differentiated(shape: [usize; 2], device: &Device) -> Tensor<2> {
    normal(shape, 1.0, device).require_grad()
}

fn backward<const D: usize>(y: Tensor<D>) -> Gradients {
    y.sum().backward()
}

fn operations(criterion: &mut Criterion) {
    let device = Device::default().autodiff();
    let [narrow, wide] = [D_MODEL, D_FF].map(|width| differentiated([ROWS, width], &device));
    let up = differentiated([ROWS, D_FF], &device);
    let weight = differentiated([D_MODEL, D_FF], &device);
    let row = |width| {
        let row = Tensor::<1>::random([width], Distribution::Normal(0.0, 1.0), &device);
        row.require_grad()
    };
    let (scale, shift, bias) = (row(D_MODEL), row(D_MODEL), row(D_FF));
    let angles = normal([ROWS, 32], 1.0, &Device::default());
    let (cos, sin) = (angles.clone().cos(), angles.sin());
    let cases: Vec<(&str, Case)> = vec![
        (
            "rms_norm",
            Box::new({
                let (x, scale) = (narrow.clone(), scale.clone());
                move || backward(rms_norm(x.clone(), scale.clone(), 1e-5))
            }),
        ),
        (
            "layer_norm",
            Box::new({
                let x = narrow.clone();
                move || backward(layer_norm(x.clone(), scale.clone(), shift.clone(), 1e-5))
            }),
        ),
        (
            "swiglu",
            Box::new({
                let gate = wide.clone();
                move || backward(gated(Activation::Silu, gate.clone(), up.clone()))
            }),
        ),
        (
            "gelu",
            Box::new({
                let x = wide.clone();
                move || backward(activate(Activation::Gelu, x.clone()))
            }),
        ),
        (
            "gelu_tanh",
            Box::new(move || backward(activate(Activation::GeluTanh, wide.clone()))),
        ),
        (
            "rotate_halves",
            Box::new({
                let x = narrow.clone();
                move || {
                    let heads = x.clone().reshape([BATCH, SEQ, HEADS, 64]);
                    backward(rotate_halves(heads, cos.clone(), sin.clone()))
                }
            }),
        ),
        (
            "linear",
            Box::new({
                let (x, weight) = (narrow.clone(), weight.clone());
                move || backward(linear(x.clone(), weight.clone(), None))
            }),
        ),
        (
            "linear_with_bias",
            Box::new(move || backward(linear(narrow.clone(), weight.clone(), Some(bias.clone())))),
        ),
    ];
    for (name, case) in cases {
        compare(criterion, name, case);
    }
}

/// The gradient of a table that is the head as well, here of a few rows.
fn tied_embedding(criterion: &mut Criterion) {
    let device = Device::default();
    let table = differentiated([VOCAB, D_MODEL], &device.clone().autodiff());
    let ids: Vec<i32> = benches::tokens(ROWS, 0)
        .iter()
        .map(|&id| id.cast_signed())
        .collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [BATCH, SEQ]), &device);
    let hidden = normal([8, D_MODEL], 1.0, &device);
    let lookups: [(&str, LookUp); 2] = [("fused", embedding), ("burn", module::embedding)];

    let mut group = criterion.benchmark_group("tied_embedding");
    group.sampling_mode(SamplingMode::Flat);
    for (name, look_up) in lookups {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let x = look_up(table.clone(), ids.clone());
                let logits = linear(hidden.clone(), table.clone().transpose(), None);
                (x.sum() + logits.sum()).backward()
            });
        });
    }
    group.finish();
}

fn layers(criterion: &mut Criterion) {
    let device = Device::default();
    let teacher = LanguageModel::init(&smollm2(LAYERS), 1, &device);
    let student = LanguageModel::init(&smollm2(LAYERS), 1, &device.clone().autodiff());
    let batch = token_batch(&device);
    let taps = Taps::default();
    compare(criterion, "layers_forward", || {
        teacher.encode(&batch, &taps).hidden
    });
    compare(criterion, "layers_forward_and_backward", || {
        backward(student.encode(&batch, &taps).hidden)
    });
}

fn compare<T>(criterion: &mut Criterion, name: &str, run: impl Fn() -> T) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    for (body, portable) in [("fused", false), ("portable", true)] {
        use_portable_bodies(portable);
        group.bench_function(body, |bencher| bencher.iter(&run));
    }
    use_portable_bodies(false);
    group.finish();
}
