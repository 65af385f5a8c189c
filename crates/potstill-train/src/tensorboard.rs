//! TensorBoard event files, as an observer.
//!
//! ```text
//! file   = record*
//! record = length u64 | crc(length) u32 | event | crc(event) u32           little-endian
//! crc(x) = rotate_right(crc32c(x), 15) + 0xa282ead8
//! ```
//!
//! An event is a protocol-buffers message of a few fields; they are written by hand here, since the
//! whole of TensorFlow's schema would be a thousand times as long.

mod message;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::vitals::step_values;
use crate::{Callback, Error, Event, Flow, Sample};
use message::Message;

/// Writes what is logged to a TensorBoard event file: training values under `train/`, evaluations
/// under `evaluation/`, and what the student writes as text.
///
/// A run that goes on writes another file; TensorBoard then drops the steps of the first that come
/// after the checkpoint. A file that can no longer be written ends in a warning in the log, never in
/// the end of the training.
///
/// ```
/// use potstill_train::TensorBoard;
///
/// let folder = tempfile::tempdir()?;
/// let observer = TensorBoard::create(folder.path().join("tensorboard"))?;
/// # let _ = observer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
    broken: bool,
}

impl TensorBoard {
    /// Begins an event file in `folder`, which is what `tensorboard --logdir` is given.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let now = since_epoch();
        // TensorBoard wants the time in seconds; the rest keeps two files apart.
        let name = format!(
            "events.out.tfevents.{:010}.potstill.{}.{}",
            now as u64,
            std::process::id(),
            (now.fract() * 1e6) as u64
        );
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let mut board = Self {
            file,
            broken: false,
        };
        let version = Message::event(now, 0).text(3, "brain.Event:2");
        board.write(&version).map_err(Error::io("write", &path))?;
        Ok(board)
    }

    fn write(&mut self, event: &Message) -> io::Result<()> {
        self.file.write_all(&record(event.bytes()))
    }

    fn add(&mut self, step: usize, values: impl IntoIterator<Item = Message>) {
        let summary = values
            .into_iter()
            .fold(Message::default(), |summary, value| {
                summary.message(1, &value)
            });
        self.keep(&Message::event(since_epoch(), step).message(5, &summary));
    }

    fn keep(&mut self, event: &Message) {
        if self.broken {
            return;
        }
        if let Err(error) = self.write(event) {
            tracing::warn!(%error, "the TensorBoard file goes no further");
            self.broken = true;
        }
    }
}

impl Callback for TensorBoard {
    fn on_event(&mut self, event: &Event<'_>) -> Flow {
        match event {
            // Steps after this one belong to a part of the run that was lost.
            Event::Started { step, .. } if *step > 0 => {
                let started = Message::default().number(1, 1);
                self.keep(&Message::event(since_epoch(), step + 1).message(7, &started));
            }
            Event::Step {
                step,
                learning_rate,
                report,
                vitals,
                logged: true,
                ..
            } => {
                let values = step_values(report, *learning_rate, vitals);
                let values = values.iter();
                self.add(
                    *step,
                    values.map(|(name, value)| scalar("train", name, *value)),
                );
            }
            Event::Evaluated { step, metrics, .. } => {
                let metrics = metrics.iter();
                self.add(
                    *step,
                    metrics.map(|(name, value)| scalar("evaluation", name, *value)),
                );
            }
            Event::Sampled { step, samples } => {
                let samples = samples.iter().enumerate();
                self.add(*step, samples.map(|(i, sample)| text(i, sample)));
            }
            _ => {}
        }
        Flow::Continue
    }
}

fn since_epoch() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |time| time.as_secs_f64())
}

fn scalar(kind: &str, name: &str, value: f64) -> Message {
    let tag = format!("{kind}/{name}");
    Message::default().text(1, &tag).float(2, value as f32)
}

/// A sample as Markdown: the prompt in bold, as code, so that nothing in it is taken for markup.
fn text(number: usize, Sample { prompt, text }: &Sample) -> Message {
    const STRING: u64 = 7;
    let indented = |text: &str| {
        let lines = text.lines().map(|line| format!("    {line}\n"));
        lines.collect::<String>()
    };
    let markdown = format!(
        "**prompt**\n\n{}\n**student**\n\n{}",
        indented(prompt),
        indented(text)
    );
    let plugin = Message::default().text(1, "text");
    let metadata = Message::default().message(1, &plugin);
    let tensor = Message::default()
        .number(1, STRING)
        .message(2, &Message::default())
        .text(8, &markdown);
    Message::default()
        .text(1, &format!("samples/{number}"))
        .message(9, &metadata)
        .message(8, &tensor)
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(event);
    record.extend(masked(event).to_le_bytes());
    record
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
