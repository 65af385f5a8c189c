//! How far is a loss through two vocabulary-wide heads, forward and backward, from its bare matrix
//! products, and what does the portable body cost?

use benches::{D_MODEL, VOCAB, few_samples, normal};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use potstill::burn::tensor::{Device, Int, Tensor};
use potstill::core::{LmHead, Prediction};
use potstill::losses::{CrossEntropy, Divergence, HeadRows, HintonConfig, RowLoss};
use potstill_kernels::use_portable_bodies;

const ROWS: usize = 1024;

/// Rows whose logits exist at a time in the bare products.
const CHUNK: usize = 256;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = head_rows
}
criterion_main!(benches);

fn head_rows(criterion: &mut Criterion) {
    let device = Device::default();
    device.seed(1);
    let training = device.clone().autodiff();
    let deviation = (D_MODEL as f64).sqrt().recip();
    let hidden = normal([ROWS, D_MODEL], 1.0, &training).require_grad();
    let head = LmHead::new(normal([VOCAB, D_MODEL], deviation, &training).require_grad());
    let teacher = Prediction::Deferred {
        hidden: normal([ROWS, D_MODEL], 1.0, &device),
        head: LmHead::new(normal([VOCAB, D_MODEL], deviation, &device)),
    };
    let targets = Tensor::<1, Int>::arange(0..ROWS as i64, &device);
    let rows = HeadRows {
        hidden: &hidden,
        head: &head,
        teacher: &teacher,
        targets: Some(&targets),
        chunk_rows: None,
    };
    let hinton = HintonConfig::new()
        .init()
        .expect("the defaults are in their range");

    let mut group = criterion.benchmark_group("linear");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(ROWS as u64));
    let products = BareProducts {
        hidden: hidden.clone().without_autodiff(),
        weight: head.weight.clone().without_autodiff(),
        gradient: normal([CHUNK, VOCAB], 1.0, &device),
    };
    group.bench_function("products_of_two_heads", |bencher| {
        bencher.iter(|| products.multiply(2));
    });
    group.bench_function("forward_kl", |bencher| {
        bencher.iter(|| backward(&rows, &Divergence::ForwardKl));
    });
    group.bench_function("forward_kl_portable", |bencher| {
        use_portable_bodies(true);
        bencher.iter(|| backward(&rows, &Divergence::ForwardKl));
        use_portable_bodies(false);
    });
    group.bench_function("hinton", |bencher| {
        bencher.iter(|| backward(&rows, &hinton));
    });
    group.bench_function("products_of_one_head", |bencher| {
        bencher.iter(|| products.multiply(1));
    });
    group.bench_function("cross_entropy", |bencher| {
        bencher.iter(|| backward(&rows, &CrossEntropy::default()));
    });
    group.bench_function("cross_entropy_portable", |bencher| {
        use_portable_bodies(true);
        bencher.iter(|| backward(&rows, &CrossEntropy::default()));
        use_portable_bodies(false);
    });
    group.finish();
}

/// The gradients of hidden states and head.
fn backward(rows: &HeadRows<'_>, loss: &impl RowLoss) -> [Option<Tensor<2>>; 2] {
    let gradients = rows.weighted_sum(loss, None).backward();
    [
        rows.hidden.grad(&gradients),
        rows.head.weight.grad(&gradients),
    ]
}

/// The matrix products that no implementation can do without, as burn multiplies.
struct BareProducts {
    hidden: Tensor<2>,
    weight: Tensor<2>,
    gradient: Tensor<2>,
}

impl BareProducts {
    /// The logits of `heads` models and the two gradients of the student.
    fn multiply(&self, heads: usize) {
        for start in (0..ROWS).step_by(CHUNK) {
            let hidden = self.hidden.clone().narrow(0, start, CHUNK);
            for _ in 0..heads {
                let _ = hidden.clone().matmul(self.weight.clone().transpose());
            }
            let _ = self.gradient.clone().matmul(self.weight.clone());
            let _ = self.gradient.clone().transpose().matmul(hidden);
        }
    }
}
