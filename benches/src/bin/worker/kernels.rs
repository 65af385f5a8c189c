//! Fused operations, the same composed of burn's, and where products dominate, those alone.

use std::time::Instant;

use anyhow::Result;
use benches::{BATCH, D_MODEL, SEQ, VOCAB, normal};
use potstill::burn::tensor::{Device, Distribution, Tensor};
use potstill::core::{LmHead, Prediction};
use potstill_kernels::{
    Activation, AdamWUpdate, AttentionMask, AttentionOptions, Divergence, adamw, attention, gated,
    linear_divergence, rms_norm, squared_norm, use_portable_bodies,
};
use serde_json::{Map, Value, json};

use crate::backend::Backend;
use crate::loss::Loss;
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the work is done.
    #[arg(long, value_enum, default_value = "flex")]
    backend: Backend,
    /// Leaves out the kernels whose name does not contain this.
    #[arg(long)]
    only: Option<String>,
}

const ROWS: usize = BATCH * SEQ;
const D_FF: usize = 1536;
const HEADS: usize = 9;
const KV_HEADS: usize = 3;
const HEAD_DIM: usize = D_MODEL / HEADS;

/// Rows whose logits exist at a time in the bare products.
const CHUNK: usize = 256;

/// Width of a head whose products cost next to nothing.
const NARROW: usize = 4;

/// An operation of SmolLM2-135M's shape on [`ROWS`] positions.
struct Kernel {
    work: Box<dyn Fn()>,
    /// What no way of doing it can leave out.
    floor: Option<Box<dyn Fn()>>,
}

/// Makes the inputs of a kernel.
type Setup = fn(&Device) -> Kernel;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.backend.device()?;
    device.seed(1);
    let all: [(&str, Setup); 7] = [
        ("linear_divergence", divergence),
        ("row_pass", row_pass),
        ("attention", attend),
        ("gated", gate),
        ("rms_norm", norm),
        ("adamw", update),
        ("squared_norm", clip),
    ];
    let kernels: Vec<(&str, Kernel)> = all
        .into_iter()
        .filter(|(name, _)| {
            arguments
                .only
                .as_ref()
                .is_none_or(|only| name.contains(only))
        })
        .map(|(name, kernel)| (name, kernel(&device)))
        .collect();
    turns::take(|| {
        let mut seconds = Map::new();
        for (name, kernel) in &kernels {
            let mut ways = json!({});
            for (way, portable) in [("fused", false), ("portable", true)] {
                use_portable_bodies(portable);
                ways[way] = timed(&kernel.work, &device)?.into();
            }
            use_portable_bodies(false);
            if let Some(floor) = &kernel.floor {
                ways["floor"] = timed(floor, &device)?.into();
            }
            seconds.insert((*name).to_owned(), ways);
        }
        Ok(json!({"kernels": Value::Object(seconds)}))
    })
}

fn timed(work: &dyn Fn(), device: &Device) -> Result<f64> {
    let start = Instant::now();
    work();
    device.sync()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Forward KL from one head to another, with the gradients of the student's.
fn divergence(device: &Device) -> Kernel {
    let loss = Loss::new(device);
    let products = (
        loss.hidden.clone().without_autodiff(),
        loss.head.weight.clone().without_autodiff(),
        normal([CHUNK, VOCAB], 1.0, device),
    );
    Kernel {
        work: Box::new(move || loss.differentiate()),
        floor: Some(Box::new(move || {
            let (hidden, weight, gradient) = &products;
            for start in (0..ROWS).step_by(CHUNK) {
                let hidden = hidden.clone().narrow(0, start, CHUNK);
                for _ in 0..2 {
                    let _ = hidden.clone().matmul(weight.clone().transpose());
                }
                let _ = gradient.clone().matmul(weight.clone());
                let _ = gradient.clone().transpose().matmul(hidden);
            }
        })),
    }
}

/// The part of it that is not a matrix product: forward KL on the logits of one chunk.
fn row_pass(device: &Device) -> Kernel {
    let training = device.clone().autodiff();
    let hidden = normal([CHUNK, NARROW], 1.0, &training).require_grad();
    let head = LmHead::new(normal([VOCAB, NARROW], 1.0, &training));
    let prediction = Prediction::Dense(normal([CHUNK, VOCAB], 2.0, device));
    Kernel {
        work: Box::new(move || {
            let forward_kl = Divergence::ForwardKl;
            let _ =
                linear_divergence(&hidden, &head, &prediction, forward_kl, 1.0, None).backward();
        }),
        floor: None,
    }
}

/// Causal attention of one layer, forward and backward.
fn attend(device: &Device) -> Kernel {
    let training = device.clone().autodiff();
    let projected = |heads| {
        let shape = [BATCH, SEQ, heads, HEAD_DIM];
        Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &training).require_grad()
    };
    let (query, key, value) = (projected(HEADS), projected(KV_HEADS), projected(KV_HEADS));
    let mask = AttentionMask::causal(SEQ, None);
    Kernel {
        work: Box::new(move || {
            let (query, key, value) = (query.clone(), key.clone(), value.clone());
            let options = AttentionOptions::default();
            let _ = attention(query, key, value, &mask, options)
                .sum()
                .backward();
        }),
        floor: None,
    }
}

/// The gate of one SwiGLU, forward and backward.
fn gate(device: &Device) -> Kernel {
    let training = device.clone().autodiff();
    let wide = || normal([ROWS, D_FF], 1.0, &training).require_grad();
    let (gate, up) = (wide(), wide());
    Kernel {
        work: Box::new(move || {
            let _ = gated(Activation::Silu, gate.clone(), up.clone())
                .sum()
                .backward();
        }),
        floor: None,
    }
}

/// One normalization, forward and backward.
fn norm(device: &Device) -> Kernel {
    let training = device.clone().autodiff();
    let x = normal([ROWS, D_MODEL], 1.0, &training).require_grad();
    let weight = Tensor::<1>::ones([D_MODEL], &training).require_grad();
    Kernel {
        work: Box::new(move || {
            let _ = rms_norm(x.clone(), weight.clone(), 1e-5).sum().backward();
        }),
        floor: None,
    }
}

/// AdamW on a head; as in training, nobody else holds what it updates.
fn update(device: &Device) -> Kernel {
    let random = || normal([VOCAB, D_MODEL], 1.0, device);
    let gradient = random();
    let zeros = || Tensor::<2>::zeros([VOCAB, D_MODEL], device);
    let state = std::cell::RefCell::new(Some((random(), [zeros(), zeros()])));
    Kernel {
        work: Box::new(move || {
            let settings = AdamWUpdate {
                learning_rate: 1e-4,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.01,
                time: 1,
            };
            let taken = state.borrow_mut().take();
            let updated = taken
                .map(|(parameter, means)| adamw(parameter, gradient.clone(), means, &settings));
            *state.borrow_mut() = updated;
        }),
        floor: None,
    }
}

/// The squared norm of the gradient of a head.
fn clip(device: &Device) -> Kernel {
    let gradient = normal([VOCAB, D_MODEL], 1.0, device);
    Kernel {
        work: Box::new(move || {
            let _ = squared_norm(gradient.clone());
        }),
        floor: None,
    }
}
