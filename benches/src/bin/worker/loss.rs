//! One loss through a head: forward KL from one head to another, with the gradients of the student's.

use anyhow::Result;
use benches::{BATCH, D_MODEL, SEQ, VOCAB, normal};
use potstill::burn::tensor::{Device, Tensor};
use potstill::core::{LmHead, Prediction};
use potstill_kernels::{Divergence, linear_divergence};
use serde_json::json;

use crate::backend::Backend;
use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the work is done.
    #[arg(long, value_enum, default_value = "flex")]
    backend: Backend,
    /// Only holds the inputs and as much as the gradients take: what the loss needs beyond that is the
    /// difference of the peaks.
    #[arg(long)]
    idle: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.backend.device()?;
    device.seed(1);
    let loss = Loss::new(&device);
    let gradients = arguments.idle.then(|| {
        let shapes = [loss.hidden.dims(), loss.head.weight.dims()];
        shapes.map(|shape| Tensor::<2>::ones(shape, &device))
    });
    turns::take(|| {
        if gradients.is_none() {
            loss.differentiate();
        }
        Ok(json!({}))
    })
}

/// The inputs.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) hidden: Tensor<2>,
    pub(crate) head: LmHead,
    teacher: Prediction,
}

impl Loss {
    pub(crate) fn new(device: &Device) -> Self {
        let rows = BATCH * SEQ;
        let deviation = (D_MODEL as f64).sqrt().recip();
        let training = device.clone().autodiff();
        Self {
            hidden: normal([rows, D_MODEL], 1.0, &training).require_grad(),
            head: LmHead::new(normal([VOCAB, D_MODEL], deviation, &training).require_grad()),
            teacher: Prediction::Deferred {
                hidden: normal([rows, D_MODEL], 1.0, device),
                head: LmHead::new(normal([VOCAB, D_MODEL], deviation, device)),
            },
        }
    }

    pub(crate) fn differentiate(&self) {
        let forward_kl = Divergence::ForwardKl;
        let (hidden, head) = (&self.hidden, &self.head);
        let _ = linear_divergence(hidden, head, &self.teacher, forward_kl, 1.0, None).backward();
    }
}
