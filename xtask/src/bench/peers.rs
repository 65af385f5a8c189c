//! Our side and PyTorch, taking turns.

mod cases;
mod report;

use std::path::PathBuf;

use anyhow::{Result, ensure};

use self::cases::{Case, Peer};
use self::report::Pair;
use super::side::{Worker, peer};
use super::turns::alternate;
use crate::project::Project;
use crate::python::Python;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Measured turns of each side, after one to warm up.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Prints one JSON document instead of tables.
    #[arg(long)]
    json: bool,
    /// Measures libtorch on our side instead of flex; needs torch 2.9.
    #[arg(long)]
    tch: bool,
    /// The interpreter that has torch and transformers; otherwise that of the active virtual
    /// environment, or python3.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Runs only pairs whose name contains this, such as "half" or "chunked, keeping"; may be repeated.
    #[arg(long)]
    only: Vec<String>,
}

impl Arguments {
    fn wants(&self, case: &Case, peer: &Peer) -> bool {
        let name = format!("{}: {}", case.name, peer.name());
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only))
    }
}

pub(super) fn run(project: &Project, arguments: &Arguments) -> Result<()> {
    let python = Python::choose(arguments.python.as_deref());
    python.require(&["torch", "transformers"])?;
    let ours = if arguments.tch {
        Worker::tch(project, &python)?
    } else {
        Worker::flex(project)?
    };
    let mut results = Vec::new();
    for case in cases::of(arguments.tch) {
        let mut pairs = Vec::new();
        for other in &case.peers {
            if !arguments.wants(&case, other) {
                continue;
            }
            eprintln!("==> {}: {}", case.name, other.name());
            let sides = vec![
                ("potstill".into(), ours.command(other.heap, &case.ours)),
                (
                    other.name(),
                    peer(project, &python, other.heap, other.script, &other.work),
                ),
            ];
            let [ours, theirs] = <[_; 2]>::try_from(alternate(sides, arguments.turns)?)
                .expect("two sides give two results");
            let pair = Pair {
                peer: other.clone(),
                ours,
                theirs,
            };
            // All pairs take many minutes: what is measured is shown, should they be cut short.
            eprintln!("{}", report::row(&pair));
            pairs.push(pair);
        }
        if !pairs.is_empty() {
            results.push((case, pairs));
        }
    }
    ensure!(!results.is_empty(), "--only matches no pair");
    if arguments.json {
        println!("{}", report::document(ours.backend(), &results));
    } else {
        println!("{}", report::tables(ours.backend(), &results));
    }
    Ok(())
}
