//! A corpus of any size.
//!
//! One record in twenty says what an earlier one says, one in ten says it with a few other words.

use std::path::Path;

use anyhow::Result;
use potstill::data::{Content, Record, RecordWriter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const SYLLABLES: [&str; 16] = [
    "ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "za", "pel", "dor", "fin", "gam", "hus",
    "tek",
];
const WORDS: usize = 150;
/// Records that are made at a time.
const BATCH: u64 = 1 << 14;

/// Writes `rows` records to `path`.
pub(crate) fn write(path: &Path, rows: u64) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut writer = RecordWriter::create(path)?;
    for begin in (0..rows).step_by(BATCH as usize) {
        let end = (begin + BATCH).min(rows);
        let records: Vec<Record> = (begin..end).into_par_iter().map(record).collect();
        for record in &records {
            writer.write(record)?;
        }
    }
    writer.finish()?;
    Ok(())
}

fn record(row: u64) -> Record {
    let mut rng = ChaCha8Rng::seed_from_u64(row);
    let words = match rng.random_range(0..20) {
        0 if row > 0 => words(rng.random_range(0..row)),
        1 | 2 if row > 0 => {
            let mut words = words(rng.random_range(0..row));
            for _ in 0..3 {
                let place = rng.random_range(0..words.len());
                words[place] = word(&mut rng);
            }
            words
        }
        _ => words(row),
    };
    Record {
        id: Some(row.to_string()),
        ..Content::Text(words.join(" ")).into()
    }
}

/// The words of a record that is not made from another one.
fn words(row: u64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(!row);
    (0..WORDS).map(|_| word(&mut rng)).collect()
}

/// Of 65,536 words; the first ones are the most frequent.
fn word(rng: &mut ChaCha8Rng) -> String {
    let number = (65_536f64.powf(rng.random::<f64>()) as usize).wrapping_mul(40_503);
    (0..4)
        .map(|place| SYLLABLES[(number >> (4 * place)) & 15])
        .collect::<String>()[..]
        .to_owned()
}
