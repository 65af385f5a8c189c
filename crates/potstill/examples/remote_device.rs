//! A teacher whose weights live on another machine's device, and a student here.
//!
//! On the machine with the large device, and on the other one:
//!
//! ```text
//! DEVICE_TOKEN=… cargo run --release -p potstill --features remote --example remote_device -- serve 3000
//! DEVICE_TOKEN=… cargo run --release -p potstill --features remote --example remote_device -- \
//!     teach ws://gpu:3000 examples/quickstart/teacher
//! ```
//!
//! WebSocket is not encrypted, and who may use the device may run anything on it that burn can: stay
//! in a network that you trust, or go through a tunnel.

#![allow(clippy::print_stdout, reason = "it talks to a person")]

use std::error::Error;
use std::path::Path;

use potstill::burn::remote::RemoteHost;
use potstill::burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use potstill::burn::tensor::{Device, FloatDType};
use potstill::losses::{Divergence, SoftTarget};
use potstill::models::{Checkpoint, LayerChoice, StudentSpec, derive_student};
use potstill::prelude::*;
use potstill::train::FixedBatches;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let token = std::env::var("DEVICE_TOKEN").unwrap_or_default();
    match arguments[..] {
        ["serve", port] => serve(port.parse()?, &token),
        ["teach", url, checkpoint] => teach(url, &token, Path::new(checkpoint)),
        _ => Err("say `serve PORT` or `teach ws://HOST:PORT CHECKPOINT`".into()),
    }
}

/// Serves this machine's device until Ctrl-C.
fn serve(port: u16, token: &str) -> Result<(), Box<dyn Error>> {
    // With the feature `cuda` or `wgpu` it is the GPU.
    let device = Device::default();
    println!("serving {device:?} on port {port}");
    let server = RemoteServer::new([device]).with_authorizer(TokenAuthorizer::new(token)?);
    Ok(server.serve(WebSocketTransport::new(port))?)
}

/// Distils half of the checkpoint's layers, trained here, from the whole of them, there.
fn teach(url: &str, token: &str, checkpoint: &Path) -> Result<(), Box<dyn Error>> {
    let host = RemoteHost::websocket(url).with_credential(token);
    let (there, here) = (Device::remote_options(&host).init()?, Device::flex());
    let checkpoint = Checkpoint::open(checkpoint)?;
    let teacher = ModelTeacher::new(&checkpoint.language_model(FloatDType::F32, &there)?);
    println!("the teacher is on {there:?}");

    let whole = checkpoint.language_model(FloatDType::F32, &here)?;
    let layers = LayerChoice::EvenlySpaced(whole.n_layers().div_ceil(2));
    let spec = StudentSpec::Layers(layers);
    let student = derive_student(&whole, &spec, &here.clone().autodiff())?.model;

    // Any text would do; these are sixteen rows of token ids.
    let vocabulary = whole.vocab_size() as u32;
    let rows: Vec<TokenRow> = (0..16u32)
        .map(|row| {
            let tokens: Vec<u32> = (0..32).map(|i| (row * 7 + i * 3) % vocabulary).collect();
            TokenRow::document(&tokens, &[1.0; 32])
        })
        .collect();
    let source = FixedBatches::new(vec![TokenBatch::from_rows(&rows, 0, &here)]);
    let objective = SoftTarget::new(Divergence::ForwardKl);
    let config = TrainerConfig {
        learning_rate: 1e-3,
        ..TrainerConfig::steps(50)
    };
    let mut trainer =
        Trainer::new(config, student, objective, teacher, source)?.callback(|event: &Event<'_>| {
            if let Event::Step { step, report, .. } = event
                && step % 10 == 0
            {
                println!("step {step}: {:.4} nats from the teacher", report.loss);
            }
            Flow::Continue
        });
    trainer.run()?;
    Ok(())
}
