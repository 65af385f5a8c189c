//! Serves a model to OpenAI's clients, or sends load to a server.
//!
//! ```text
//! cargo run --release -p serve -- --model SmolLM2-135M-Instruct.Q4_1.gguf
//! cargo run --release -p serve -- --load 200 --seconds 600
//! ```

#![allow(clippy::print_stdout, reason = "it talks to a person")]

mod load;
mod percentiles;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use load::Load;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::data::ChatTemplate;
use potstill::models::Checkpoint;
use potstill_serve::{BatchLimits, BearerToken, LocalChat, Server, ServerOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where the quickstart's teacher lies, which is served unless another model is named.
const ADDITION_TEACHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../quickstart/teacher");

/// Serves a model to OpenAI's clients, or sends load to a server.
///
/// With the environment variable POTSTILL_TOKEN, clients must show its value.
#[derive(Parser)]
struct Arguments {
    /// A Hugging Face folder or a GGUF file.
    #[arg(long, default_value = ADDITION_TEACHER)]
    model: PathBuf,
    /// What clients call the model; the name of its file or folder unless given.
    #[arg(long)]
    name: Option<String>,
    /// Where to listen, or where the server is that shall have the load.
    #[arg(long, default_value = "127.0.0.1:8000")]
    address: String,
    /// Most sequences that are continued together.
    #[arg(long, default_value_t = 64)]
    max_rows: usize,
    /// Serves nothing, but sends sums to the addition teacher at the address, from as many clients.
    #[arg(long, value_name = "CLIENTS")]
    load: Option<usize>,
    /// How long to send load.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Serves, sends load for a second, and ends: to see that everything works.
    #[arg(long)]
    smoke: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .init();
    let arguments = Arguments::parse();
    if let Some(clients) = arguments.load {
        let duration = Duration::from_secs(arguments.seconds);
        let load = Load::new(&arguments.address, clients, duration);
        println!("{}", load.run().await?);
        return Ok(());
    }
    let chat = open(&arguments)?;
    if arguments.smoke {
        return smoke(chat).await;
    }
    let mut options = ServerOptions::default();
    options.token = std::env::var("POTSTILL_TOKEN")
        .ok()
        .map(|token| BearerToken::new(&token));
    let server = Server::bind(arguments.address.as_str(), chat, options)?;
    println!("http://{}/v1", server.address());
    server.run(stop_signal()).await?;
    Ok(())
}

fn open(arguments: &Arguments) -> Result<LocalChat> {
    let checkpoint = Checkpoint::open(&arguments.model)?;
    let tokenizer = checkpoint_tokenizer(&checkpoint)?;
    let template = match checkpoint.chat_template()? {
        Some(source) => Some(ChatTemplate::new(source, checkpoint.special_tokens()?)?),
        None => None,
    };
    let model = checkpoint.language_model(FloatDType::F32, &Device::default())?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => stem(&arguments.model)?,
    };
    let limits = BatchLimits {
        max_rows: arguments.max_rows,
        ..BatchLimits::default()
    };
    Ok(LocalChat::new(name, model, tokenizer, template, limits)?)
}

fn stem(path: &Path) -> Result<String> {
    let stem = path
        .file_stem()
        .context("the model's path has no name; give one with --name")?;
    Ok(stem.to_string_lossy().into_owned())
}

async fn smoke(chat: LocalChat) -> Result<()> {
    let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default())?;
    let address = server.address().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        // An error means that the load failed: a reason to stop as well.
        let _ = stopped.await;
    }));
    let report = Load::new(&address, 20, Duration::from_secs(1))
        .run()
        .await?;
    println!("{report}");
    anyhow::ensure!(report.failed() == 0, "{} requests failed", report.failed());
    drop(stop);
    serving.await??;
    Ok(())
}

/// Waits for Ctrl-C or a polite kill.
async fn stop_signal() {
    let interrupted = async {
        // Without a handler, Ctrl-C ends the process anyway.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
