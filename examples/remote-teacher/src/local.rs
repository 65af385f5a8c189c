//! A server for those who have none.

use anyhow::Result;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::models::Checkpoint;
use potstill_serve::{BatchLimits, LocalChat, RunningServer, Server, ServerOptions};
use quickstart::addition::tokenizer;
use quickstart::teacher_folder;

/// The quickstart's teacher behind a server of our own, on a free port.
pub(crate) fn serve(name: &str, device: &Device) -> Result<RunningServer> {
    let model = Checkpoint::open(teacher_folder())?.language_model(FloatDType::F32, device)?;
    let chat = LocalChat::new(name, model, tokenizer()?, None, BatchLimits::default())?;
    Ok(Server::bind("127.0.0.1:0", chat, ServerOptions::default())?.start()?)
}
