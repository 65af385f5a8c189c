//! Against files that Python's `tensorboard` reads and bytes that it writes.

use super::*;
use crate::{Metrics, StepReport, TermReport, Vitals};
use std::time::Duration;

fn report() -> StepReport {
    StepReport {
        loss: 0.5,
        terms: vec![TermReport {
            name: "forward_kl".into(),
            weight: 1.0,
            mean: 0.5,
        }],
        grad_norm: 2.0,
        rows: 10,
        row_weight: 10.0,
        tokens: 20,
    }
}

fn samples() -> [Sample; 1] {
    [Sample {
        prompt: "2 + 2 =".into(),
        text: " 4\n*not* markup".into(),
    }]
}

/// A short run's events.
fn events(board: &mut TensorBoard, first: usize) {
    let report = report();
    let vitals = Vitals::of_step(Duration::from_millis(500), &report, &[], None);
    let _ = board.on_event(&Event::Started {
        step: first - 1,
        total_steps: 300,
    });
    for step in first..first + 3 {
        let _ = board.on_event(&Event::Step {
            step,
            total_steps: 300,
            learning_rate: 1e-3,
            report: &report,
            vitals: &vitals,
            logged: true,
        });
    }
    let metrics = Metrics::from([("kl".into(), 0.25)]);
    let _ = board.on_event(&Event::Evaluated {
        step: first + 2,
        metrics: &metrics,
        is_best: true,
    });
    let samples = samples();
    let _ = board.on_event(&Event::Sampled {
        step: first + 2,
        samples: &samples,
    });
}

fn file_in(folder: &Path) -> Vec<u8> {
    let entry = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    fs::read(entry.path()).unwrap()
}

#[test]
fn records_are_byte_for_byte_what_tensorboard_writes() {
    // RecordWriter of Python's tensorboard 2.21.
    let hex = |bytes: Vec<u8>| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let version = Message::event(1.5, 0).text(3, "brain.Event:2");
    assert_eq!(
        hex(record(version.bytes())),
        "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"
    );
    let summary = Message::default().message(1, &scalar("train", "loss", 0.5));
    let event = Message::event(1.5, 300).message(5, &summary);
    assert_eq!(
        hex(record(event.bytes())),
        "2100000000000000017becf609000000000000f83f10ac022a130a110a0a747261696e2f6c6f7373150000003fb\
         56a6431"
    );
}

#[test]
fn every_record_is_framed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    events(&mut board, 200);
    let bytes = file_in(folder.path());
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(number(at + 8), masked(&bytes[at..at + 8]));
        let event = &bytes[at + 12..at + 12 + length];
        assert_eq!(number(at + 12 + length), masked(event));
        at += length + 16;
        records += 1;
    }
    assert_eq!(records, 1 + 1 + 3 + 1 + 1);
}

#[test]
fn two_files_in_one_folder_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let boards = [0, 1].map(|_| TensorBoard::create(folder.path()).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), boards.len());
}

/// Writes what `tests/read_tensorboard.py` reads, where a folder for it is given.
#[test]
fn for_python() {
    if let Some(folder) = std::env::var_os("POTSTILL_TENSORBOARD_FOLDER") {
        let mut board = TensorBoard::create(&folder).unwrap();
        events(&mut board, 1);
        let mut continued = TensorBoard::create(&folder).unwrap();
        events(&mut continued, 3);
    }
}
