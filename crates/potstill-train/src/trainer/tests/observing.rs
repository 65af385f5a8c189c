//! What a run says about itself, and what must not change it.

use super::*;
use crate::{ModelFlops, Sample, measured_peak};
use burn::module::{ModuleMapper, Param};
use burn::tensor::FloatDType;
use potstill_core::{Prediction, Taps};
use potstill_models::{LanguageModel, ModelConfig};

#[test]
fn the_log_tells_speed_memory_and_use_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let flops = ModelFlops::of(teacher().model());
    let trainer = trainer(config(2)).utilization(measured_peak(&plain_device()), Some(flops));
    trainer.start_in(folder.path()).unwrap().run().unwrap();
    let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let value = |name: &str| line["values"][name].as_f64().unwrap();
        let rate = value("tokens") / value("seconds");
        assert!(
            (value("tokens_per_second") / rate - 1.0).abs() < 1e-9,
            "{line}"
        );
        assert!(value("rows_per_second") < rate, "{line}");
        let utilization = value("utilization");
        assert!(utilization > 0.0 && utilization < 1.5, "{line}");
        if cfg!(target_os = "linux") {
            assert!(
                value("memory_bytes") <= value("peak_memory_bytes"),
                "{line}"
            );
        }
        for name in [
            "loss",
            "loss/forward_kl",
            "loss/hint",
            "learning_rate",
            "grad_norm",
        ] {
            assert!(value(name).is_finite(), "{name}");
        }
        assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
    }
}

#[test]
fn samples_are_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (trainer, log) = listening(trainer(config(5)));
    let trainer = trainer.samples(2, |student: &TinyLm| {
        let text = format!("{} blocks", student.n_layers());
        let prompt = "how many?".to_owned();
        Ok(vec![Sample { prompt, text }])
    });
    trainer.start_in(folder.path()).unwrap().run().unwrap();
    assert!(log.borrow().contains(&"sampled 4 1".to_owned()), "{log:?}");
    let text = fs::read_to_string(folder.path().join("samples.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps: Vec<_> = lines
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [2, 4]);
    assert_eq!(lines[0]["text"], "1 blocks");
}

/// Distance of the parameters of two models, at most.
fn distance(left: &[(String, Vec<f32>)], right: &[(String, Vec<f32>)]) -> f32 {
    let pairs = left
        .iter()
        .zip(right)
        .flat_map(|((_, l), (_, r))| l.iter().zip(r));
    pairs.map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

fn llama(checkpointing: bool, objective: ForwardKl) -> Trainer<LanguageModel, ForwardKl> {
    let model = ModelConfig::from_hf_json(
        r#"{"model_type": "llama", "vocab_size": 13, "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 64}"#,
    );
    let model = LanguageModel::init(&model.unwrap(), 11, &plain_device());
    let config = TrainerConfig {
        gradient_checkpointing: checkpointing,
        ..config(6)
    };
    Trainer::new(config, model, objective, teacher(), source()).unwrap()
}

#[test]
fn gradient_checkpointing_changes_no_gradient() {
    let run = |checkpointing| {
        let mut trainer = llama(checkpointing, ForwardKl::new());
        trainer.run().unwrap();
        parameters(trainer.model())
    };
    let (kept, recomputed) = (run(false), run(true));
    assert_eq!(distance(&kept, &recomputed), 0.0);
}

#[test]
fn a_run_with_gradient_checkpointing_can_be_continued() {
    let folder = tempfile::tempdir().unwrap();
    let stopped = llama(true, ForwardKl::new()).callback(|event: &Event<'_>| match event {
        Event::Step { step: 3, .. } => Flow::Stop,
        _ => Flow::Continue,
    });
    stopped.start_in(folder.path()).unwrap().run().unwrap();
    let mut continued = llama(true, ForwardKl::new())
        .continue_in(folder.path())
        .unwrap();
    continued.run().unwrap();
    let mut straight = llama(true, ForwardKl::new());
    straight.run().unwrap();
    assert_eq!(parameters(continued.model()), parameters(straight.model()));
}

/// Casts every parameter.
struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(parameter.val().cast(self.0))
    }
}

#[test]
fn a_teacher_in_half_precision_teaches_nearly_the_same() {
    let run = |dtype| {
        let mut cast = Cast(dtype);
        let teacher = llama(false, ForwardKl::new()).student().map(&mut cast);
        let Prediction::Deferred { head, .. } = ModelTeacher::new(&teacher)
            .signal(&batch(&[row(1, 5)]), &Taps::default())
            .unwrap()
            .prediction
        else {
            panic!("a model's prediction is deferred")
        };
        assert_eq!(head.weight.dtype(), dtype.into());
        let teacher = ModelTeacher::new(&teacher);
        let trainer = Trainer::new(config(6), student(), ForwardKl::new(), teacher, source());
        let mut trainer = trainer.unwrap();
        trainer.run().unwrap();
        parameters(trainer.model())
    };
    let (whole, half) = (run(FloatDType::F32), run(FloatDType::BF16));
    let distance = distance(&whole, &half);
    assert!(distance > 0.0 && distance < 5e-3, "{distance}");
}

#[test]
fn two_devices_equal_one_with_the_doubled_batch() {
    let rows: Vec<_> = (0..12).map(|i| row(i, 5 + i)).collect();
    let source = |batch_size| {
        let loader = Loader::new(rows.clone(), LoaderOptions::shuffled(batch_size, 3)).unwrap();
        LoaderBatches::new(loader, 0, &plain_device())
    };
    let run = |batch_size, accumulation, devices: Vec<Device>| {
        let config = TrainerConfig {
            accumulation,
            ..config(12)
        };
        let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
        let trainer = Trainer::new(config, student(), objective, teacher(), source(batch_size));
        let mut losses = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&losses);
        let trainer = trainer
            .unwrap()
            .devices(devices)
            .callback(move |event: &Event<'_>| {
                if let Event::Step { report, .. } = event {
                    sink.borrow_mut().push(report.loss);
                }
                Flow::Continue
            });
        let mut trainer = trainer;
        trainer.run().unwrap();
        let parameters = parameters(trainer.model());
        drop(trainer);
        (Rc::get_mut(&mut losses).unwrap().take(), parameters)
    };
    let device = plain_device();
    let (one, alone) = run(4, 1, Vec::new());
    let (two, together) = run(2, 2, vec![device.clone(), device.clone()]);
    for (one, two) in one.iter().zip(&two) {
        assert!((one - two).abs() < 1e-5, "{one} {two}");
    }
    assert!(
        distance(&alone, &together) < 1e-5,
        "{}",
        distance(&alone, &together)
    );
    assert!(
        one[11] < 0.9 * one[0],
        "it must have learned something: {one:?}"
    );
    // More micro-batches than devices: each takes several.
    let (_, three) = run(1, 4, vec![device.clone(), device.clone(), device]);
    assert!(
        distance(&alone, &three) < 1e-5,
        "{}",
        distance(&alone, &three)
    );
}

#[test]
fn another_objective_or_batch_size_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    trainer(config(2))
        .start_in(folder.path())
        .unwrap()
        .run()
        .unwrap();
    let objective = (ForwardKl::weighted(0.5), Hint::new(6, 8, 1));
    let other = Trainer::new(config(4), student(), objective, teacher(), source()).unwrap();
    let error = other.continue_in(folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::RunChanged {
                what: "objective",
                ..
            }
        ),
        "{error:?}"
    );

    let rows: Vec<_> = (0..7).map(|i| row(i, 5 + 2 * i)).collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(3, 17)).unwrap();
    let source = LoaderBatches::new(loader, 0, &plain_device());
    let objective = (ForwardKl::new(), Hint::new(6, 8, 1));
    let other = Trainer::new(config(4), student(), objective, teacher(), source).unwrap();
    let message = other.continue_in(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("another batch source: {\"batch_size\":2"),
        "{message}"
    );
}
