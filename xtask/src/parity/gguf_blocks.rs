//! What the quantised blocks of a GGUF file decode to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use potstill_models::{BlockType, dequantize};
use potstill_testkit::read_json;
use serde::Deserialize;

use super::report::{Measure, Report};

#[derive(Debug, Deserialize)]
struct Blocks {
    bytes_hex: Vec<String>,
    values: Vec<Vec<f32>>,
}

pub(super) fn check(folder: &Path, report: &mut Report) -> Result<()> {
    let path = folder.join("gguf_blocks.json");
    if path.is_file() {
        for (name, blocks) in read_json::<BTreeMap<String, Blocks>>(&path)? {
            report.case(format!("gguf_blocks/{name}"), || measure(&name, &blocks));
        }
    }
    Ok(())
}

fn measure(name: &str, blocks: &Blocks) -> Result<Vec<Measure>> {
    let block_type: BlockType = name.parse()?;
    let (mut actual, mut expected) = (Vec::new(), Vec::new());
    for (row, values) in blocks.bytes_hex.iter().zip(&blocks.values) {
        actual.extend(
            dequantize(block_type, &bytes(row)?)?
                .into_iter()
                .map(f32::to_bits),
        );
        expected.extend(values.iter().map(|value| value.to_bits()));
    }
    // Compared as bits: a negative zero is not a zero, and a NaN is itself.
    Ok(vec![Measure::equal("values", &actual, &expected)])
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    ensure!(
        hex.is_ascii() && hex.len().is_multiple_of(2),
        "{hex:?} is not hexadecimal"
    );
    let pairs = (0..hex.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&hex[start..start + 2], 16));
    pairs
        .collect::<Result<_, _>>()
        .with_context(|| format!("{hex:?} is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_byte_by_byte() {
        assert_eq!(bytes("08ff").unwrap(), [8, 255]);
        assert!(bytes("0").is_err() && bytes("0g").is_err() && bytes("é0").is_err());
    }
}
