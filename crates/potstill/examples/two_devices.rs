//! A teacher on one device and a student on two.
//!
//! ```text
//! cargo run --release -p potstill --features wgpu --example two_devices
//! ```
//!
//! The teacher lives on the graphics device and the student on the processor; every step, half of
//! the batch goes through each of them. The same run on the processor alone, with the whole batch at
//! once, shows that the result is the same but for rounding.

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use potstill::burn::tensor::{Device, DeviceKind};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{LanguageModel, ModelConfig};
use potstill::prelude::*;
use potstill::train::FixedBatches;

const STEPS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let (here, there) = (Device::flex(), Device::wgpu(DeviceKind::DefaultDevice));
    println!("student on {here:?}, teacher on {there:?}");
    let alone = losses(&here, 1, Vec::new())?;
    let together = losses(&there, 2, vec![here, there.clone()])?;
    let mut worst = 0.0f64;
    for (step, (alone, together)) in alone.iter().zip(&together).enumerate() {
        worst = worst.max((alone - together).abs());
        if (step + 1) % 5 == 0 {
            println!(
                "step {:2}: {alone:.6} alone, {together:.6} on two devices",
                step + 1
            );
        }
    }
    println!("largest difference of a loss: {worst:.1e}");
    if worst > 1e-5 {
        return Err("two devices must give what one gives".into());
    }
    Ok(())
}

/// The losses of a run with a batch of eight rows in `parts`, and the teacher on `device`.
fn losses(device: &Device, parts: usize, devices: Vec<Device>) -> Result<Vec<f64>, Box<dyn Error>> {
    let here = Device::flex();
    let teacher = LanguageModel::init(&config(4)?, 1, device);
    let student = LanguageModel::init(&config(2)?, 2, &here);
    let rows: Vec<TokenRow> = (0..8u32)
        .map(|row| {
            let tokens: Vec<u32> = (0..24).map(|i| (row * 31 + i * i * 7) % 97).collect();
            TokenRow::document(&tokens, &[1.0; 24])
        })
        .collect();
    let batches = rows.chunks(8 / parts);
    let batches = batches.map(|rows| TokenBatch::from_rows(rows, 0, &here));
    let config = TrainerConfig {
        learning_rate: 1e-3,
        accumulation: parts,
        ..TrainerConfig::steps(STEPS)
    };
    let losses = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&losses);
    let source = FixedBatches::new(batches.collect());
    let objective = SoftTarget::new(Divergence::ForwardKl);
    let mut trainer = Trainer::new(
        config,
        student,
        objective,
        ModelTeacher::new(&teacher),
        source,
    )?
    .devices(devices)
    .callback(move |event: &Event<'_>| {
        if let Event::Step { report, .. } = event {
            sink.borrow_mut().push(report.loss);
        }
        Flow::Continue
    });
    trainer.run()?;
    Ok(losses.take())
}

fn config(layers: usize) -> Result<ModelConfig, Box<dyn Error>> {
    Ok(ModelConfig::from_hf_json(&format!(
        r#"{{"model_type": "llama", "vocab_size": 97, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": {layers}, "num_attention_heads": 4,
             "max_position_embeddings": 64}}"#
    ))?)
}
