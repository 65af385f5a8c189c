//! The micro-batches of a step on several devices at once.
//!
//! Each device gets a copy of the model, computes the gradients of its micro-batches in a thread of
//! its own, and sends them to the student's device, where they are added up and applied once:
//!
//! ```text
//! g = Σ_devices g_device          with the divisor of the whole step, known to all of them
//! ```
//!
//! This is the naive strategy of burn's own trainer, from tensors that move between devices. burn
//! 0.22.1 has an `all_reduce` as well, but only CubeCL and remote devices carry it out: `flex` and
//! libtorch panic when they are asked.

use std::panic::resume_unwind;
use std::thread;

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::GradientCheckpointingStrategy;
use potstill_core::{CausalLm, Objective, Teacher, TokenBatch};

use crate::contribution::{Contribution, StepContext, contribution, teacher_signal};
use crate::{Distiller, Error};

/// Computes what each batch contributes, on one device after the other, and gives it to `add`.
///
/// The teacher speaks about one batch while the devices work on those before.
pub(crate) fn spread<S: CausalLm, O: Objective>(
    devices: &[Device],
    model: &Distiller<S, O>,
    teacher: &mut dyn Teacher,
    batches: &[&TokenBatch],
    context: StepContext,
    mut add: impl FnMut(Contribution),
) -> Result<(), Error> {
    let home = device_of(model);
    let replicas: Vec<_> = devices
        .iter()
        .map(|device| model.clone().fork(&like(&home, device)))
        .collect();
    for wave in batches.chunks(devices.len()) {
        let contributions = thread::scope(|scope| {
            let mut workers = Vec::with_capacity(wave.len());
            for ((batch, device), replica) in wave.iter().zip(devices).zip(&replicas) {
                let batch = batch.to_device(&device.clone().without_autodiff());
                let signal = teacher_signal(replica, teacher, &batch, context)?;
                let replica = replica.clone();
                workers.push(scope.spawn(move || contribution(&replica, signal, &batch, context)));
            }
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
        })?;
        for contribution in contributions {
            add(contribution.moved_to(&home, model));
        }
    }
    Ok(())
}

/// Where the student lives.
pub(crate) fn device_of<S: Module, O: Module>(model: &Distiller<S, O>) -> Device {
    model
        .student
        .devices()
        .into_iter()
        .next()
        .unwrap_or_default()
}

/// `device`, with the autodiff settings of `home`.
fn like(home: &Device, device: &Device) -> Device {
    let device = device.clone().autodiff();
    match home.gradient_checkpointing_strategy() {
        Some(GradientCheckpointingStrategy::Balanced) => device.gradient_checkpointing(),
        _ => device,
    }
}
