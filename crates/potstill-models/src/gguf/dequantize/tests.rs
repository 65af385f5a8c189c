//! Reference values: gguf-py, `tests/fixtures/misc/gguf_blocks.json`.

use super::*;

#[derive(serde::Deserialize)]
struct Case {
    bytes_hex: Vec<String>,
    values: Vec<Vec<f32>>,
}

fn cases() -> Vec<(String, Case)> {
    let text = include_str!("../../../tests/fixtures/misc/gguf_blocks.json");
    let cases: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    cases
        .into_iter()
        .map(|(name, case)| (name, serde_json::from_value(case).unwrap()))
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_block_type_decodes_to_the_reference_values() {
    let cases = cases();
    assert_eq!(cases.len(), BlockType::ALL.len() - 1, "all but F32");
    for (name, case) in cases {
        let block_type: BlockType = name.parse().unwrap();
        for (hex, expected) in case.bytes_hex.iter().zip(&case.values) {
            assert_eq!(
                &dequantize(block_type, &bytes(hex)).unwrap(),
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn many_blocks_decode_like_each_alone() {
    for (name, case) in cases() {
        let block_type: BlockType = name.parse().unwrap();
        let all: Vec<u8> = case
            .bytes_hex
            .iter()
            .cycle()
            .take(301)
            .flat_map(|hex| bytes(hex))
            .collect();
        let expected: Vec<f32> = case
            .values
            .iter()
            .cycle()
            .take(301)
            .flatten()
            .copied()
            .collect();
        assert_eq!(dequantize(block_type, &all).unwrap(), expected, "{name}");
    }
}

#[test]
fn single_precision_is_copied() {
    let bytes: Vec<u8> = [1.5f32, -2.25]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert_eq!(dequantize(BlockType::F32, &bytes).unwrap(), [1.5, -2.25]);
}

#[test]
fn half_a_block_is_refused_with_both_sizes() {
    let error = dequantize(BlockType::Q4K, &[0; 145])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Q4_K") && error.contains("145") && error.contains("144"),
        "{error}"
    );
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let error = "IQ2_XS".parse::<BlockType>().unwrap_err().to_string();
    assert!(
        error.contains("IQ2_XS") && error.contains("Q6_K"),
        "{error}"
    );
}
