//! What does each loss cost on 256 rows of 49152 logits, with its gradient: composed of tensor
//! operations, and in one pass behind a head?

use benches::{VOCAB, few_samples, normal};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use potstill::burn::tensor::activation::log_softmax;
use potstill::burn::tensor::{Device, Int, Tensor};
use potstill::core::{LmHead, Prediction};
use potstill::losses::{
    CrossEntropy, Divergence, Error, HeadRows, HintonConfig, LogitLoss, LogitRows, RowLoss,
    SparseDivergence, SparseRows,
};

const ROWS: usize = 256;

/// Width of a head whose products cost next to nothing.
const NARROW: usize = 4;

/// Tokens that a sparse teacher names.
const NAMED: usize = 64;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = dense, sparse, one_pass
}
criterion_main!(benches);

/// A loss and the name it is logged under.
type Named = (&'static str, Box<dyn RowLoss>);

fn losses() -> Result<Vec<Named>, Error> {
    let divergences = [
        Divergence::ForwardKl,
        Divergence::ReverseKl,
        Divergence::symmetric_kl(0.5)?,
        Divergence::generalized_jsd(0.5)?,
        Divergence::skew_forward_kl(0.1)?,
        Divergence::skew_reverse_kl(0.1)?,
        Divergence::TotalVariation,
        Divergence::SquaredHellinger,
        Divergence::alpha_beta(0.2, 0.7)?,
        Divergence::adaptive_kl(0.5)?,
    ];
    let mut losses: Vec<Named> = Vec::new();
    for divergence in divergences {
        losses.push((divergence.name(), Box::new(divergence)));
    }
    let on_logits = [
        LogitLoss::Mse,
        LogitLoss::Standardized {
            divergence: Divergence::ForwardKl,
            temperature: 1.0,
        },
        LogitLoss::Decoupled {
            alpha: 1.0,
            beta: 8.0,
            temperature: 1.0,
        },
        LogitLoss::DistInter { temperature: 1.0 },
        LogitLoss::Interpolated { time: 0.5 },
    ];
    for loss in on_logits {
        losses.push((loss.name(), Box::new(loss)));
    }
    losses.push(("cross_entropy", Box::new(CrossEntropy::default())));
    losses.push(("hinton", Box::new(HintonConfig::new().init()?)));
    Ok(losses)
}

fn dense(criterion: &mut Criterion) {
    let device = Device::default();
    device.seed(1);
    let student = normal([ROWS, VOCAB], 2.0, &device);
    let teacher = normal([ROWS, VOCAB], 2.0, &device);
    let targets = Tensor::<1, Int>::arange(0..ROWS as i64, &device);

    let mut group = criterion.benchmark_group("losses");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(ROWS as u64));
    for (name, loss) in losses().expect("every parameter is in its range") {
        let rows = || LogitRows {
            student: owned(&student),
            teacher: loss.needs_teacher().then(|| owned(&teacher)),
            targets: Some(targets.clone()),
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                rows,
                |rows| loss.value_and_gradient(rows),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn sparse(criterion: &mut Criterion) {
    let device = Device::default();
    device.seed(1);
    let student = normal([ROWS, VOCAB], 2.0, &device);
    let teacher = log_softmax(normal([ROWS, VOCAB], 2.0, &device), 1);
    let (log_probs, token_ids) = teacher.topk_with_indices(NAMED, 1);
    let tail = (-log_probs.clone().exp().sum_dim(1) + 1.0).log();
    let top = SparseRows {
        token_ids,
        log_probs,
        tail: Some(tail.squeeze_dim(1)),
    };
    // Which tokens they are makes no difference to the cost.
    let drawn = SparseRows {
        tail: None,
        ..top.clone()
    };
    let divergence = Divergence::ForwardKl;
    let losses = [
        (SparseDivergence::WithTail { divergence }, &top),
        (SparseDivergence::Renormalized, &top),
        (SparseDivergence::Truncated, &top),
        (SparseDivergence::Sampled, &drawn),
    ];

    let mut group = criterion.benchmark_group("losses");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(ROWS as u64));
    for (loss, teacher) in losses {
        group.bench_function(loss.name(), |bencher| {
            bencher.iter_batched(
                || owned(&student),
                |student| loss.value_and_gradient(student, teacher),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Through two narrow heads: their products are a small part of what is measured, and the gradient of
/// the student's logits is all of the rest.
fn one_pass(criterion: &mut Criterion) {
    let device = Device::default();
    device.seed(1);
    let hidden = normal([ROWS, NARROW], 1.0, &device.clone().autodiff()).require_grad();
    let head = || LmHead::new(normal([VOCAB, NARROW], 1.0, &device));
    let teacher = Prediction::Deferred {
        hidden: normal([ROWS, NARROW], 1.0, &device),
        head: head(),
    };
    let student = head();
    let targets = Tensor::<1, Int>::arange(0..ROWS as i64, &device);
    let rows = HeadRows {
        hidden: &hidden,
        head: &student,
        teacher: &teacher,
        targets: Some(&targets),
        chunk_rows: None,
    };

    let mut group = criterion.benchmark_group("one_pass");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(ROWS as u64));
    for (name, loss) in losses().expect("every parameter is in its range") {
        if let Some(blend) = loss.blend() {
            group.bench_function(name, |bencher| {
                bencher.iter(|| rows.weighted_sum(&blend, None));
            });
        }
    }
    group.finish();
}

/// A copy that shares no memory: a loss owns the logits that a head has just made, and may
/// overwrite them.
fn owned(logits: &Tensor<2>) -> Tensor<2> {
    logits.clone() + 0.0
}
