//! What does a whole optimizer step of white-box distillation cost?

use benches::{BATCH, SEQ, VOCAB, few_samples, smollm2, token_batch};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use potstill::burn::tensor::Device;
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::LanguageModel;
use potstill::teachers::ModelTeacher;
use potstill::train::{AdamWConfig, Distiller, StepSettings, step};

const TEACHER_LAYERS: usize = 6;
const STUDENT_LAYERS: usize = 2;

criterion_group! {
    name = benches;
    config = few_samples();
    targets = distillation_step
}
criterion_main!(benches);

fn distillation_step(criterion: &mut Criterion) {
    let device = Device::default();
    let training = device.clone().autodiff();
    let teacher = LanguageModel::init(&smollm2(TEACHER_LAYERS), 1, &device);
    let mut teacher = ModelTeacher::new(&teacher);
    let distiller = Distiller {
        student: LanguageModel::init(&smollm2(STUDENT_LAYERS), 2, &training),
        objective: SoftTarget::new(Divergence::ForwardKl),
    };
    let mut optimizer = AdamWConfig::default().init(&distiller);
    let batches = [token_batch(&device)];
    let settings = StepSettings {
        step: 1,
        learning_rate: 1e-4,
        max_grad_norm: Some(1.0),
        shared_vocabulary: VOCAB,
    };

    let mut group = criterion.benchmark_group("step");
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements((BATCH * SEQ) as u64));
    let mut model = Some(distiller);
    group.bench_function("forward_kl", |bencher| {
        bencher.iter(|| {
            let current = model.take().expect("a step gives the model back");
            let (updated, report) =
                step(current, &mut teacher, &mut optimizer, &batches, &settings);
            model = Some(updated);
            report.expect("the loss is finite").loss
        });
    });
    group.finish();
}
