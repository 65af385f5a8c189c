//! What is compared with what, and what we want of it.

use super::super::side::Heap;

/// A piece of work, done by us and by others.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The arguments of our worker.
    pub(super) ours: Vec<&'static str>,
    pub(super) peers: Vec<Peer>,
    /// How many times the speed of the best peer that counts.
    pub(super) speed: f64,
    /// Which share of the memory of that peer.
    pub(super) memory: Option<f64>,
}

/// The same work in PyTorch.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    way: &'static str,
    pub(super) heap: Heap,
    pub(super) script: &'static str,
    pub(super) work: Vec<&'static str>,
    /// Whether the targets are about it: it has our dtype.
    pub(super) counts: bool,
}

impl Peer {
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.way, self.heap.name())
    }
}

/// The ways to write the step in PyTorch: name, arguments, whether in f32.
const STEPS: [(&str, &[&str], bool); 4] = [
    ("f32, full logits", &["--loss", "full"], true),
    ("f32, TRL's divergence", &["--loss", "trl"], true),
    ("f32, chunked, checkpointed", &["--loss", "chunked"], true),
    (
        "bf16 autocast, chunked",
        &["--loss", "chunked", "--dtype", "bf16"],
        false,
    ),
];

/// Half of the positions of a row, as many as the answers of a chat set.
const HALF: [&str; 2] = ["--counted", "128"];

pub(super) fn of(tch: bool) -> Vec<Case> {
    let mut cases = vec![
        Case {
            name: "step, all rows count",
            ours: vec!["step"],
            peers: steps(&[], &STEPS),
            speed: if tch { 1.3 } else { 1.0 },
            memory: (!tch).then_some(0.5),
        },
        Case {
            name: "step, half of the rows count",
            ours: [&["step"], &HALF[..]].concat(),
            peers: steps(&HALF, &STEPS),
            speed: if tch { 1.6 } else { 1.3 },
            memory: None,
        },
    ];
    if !tch {
        cases.push(decoding("decoding, one prompt", "1"));
        cases.push(decoding("decoding, 16 prompts", "16"));
    }
    cases
}

fn steps(
    rows: &[&'static str],
    ways: &[(&'static str, &'static [&'static str], bool)],
) -> Vec<Peer> {
    let peers = ways.iter().flat_map(|&(way, arguments, counts)| {
        [Heap::Default, Heap::Keeping].map(|heap| Peer {
            way,
            heap,
            script: "step_torch.py",
            work: [arguments, rows].concat(),
            counts,
        })
    });
    peers.collect()
}

fn decoding(name: &'static str, batch: &'static str) -> Case {
    let peers = [Heap::Default, Heap::Keeping].map(|heap| Peer {
        way: "transformers generate, f32",
        heap,
        script: "decode_torch.py",
        work: vec!["--turns", "--batch", batch],
        counts: true,
    });
    Case {
        name,
        ours: vec!["decode", "--batch", batch],
        peers: peers.into(),
        speed: 1.3,
        memory: None,
    }
}
