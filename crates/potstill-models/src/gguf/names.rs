//! Between GGUF's names and row order and those of Hugging Face.

/// Parts outside the blocks: GGUF, Hugging Face.
const PARTS: &[(&str, &str)] = &[
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];

/// Parts of a block: GGUF, Hugging Face.
const BLOCK_PARTS: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The Hugging Face name of a tensor of the Llama and Qwen families.
pub(super) fn hugging_face(name: &str) -> Option<String> {
    let (stem, kind) = stem_and_kind(name)?;
    let path = if let Some(rest) = stem.strip_prefix("blk.") {
        let (block, part) = block_and_part(rest)?;
        let (_, path) = BLOCK_PARTS.iter().find(|(gguf, _)| *gguf == part)?;
        format!("model.layers.{block}.{path}")
    } else {
        let (_, path) = PARTS.iter().find(|(gguf, _)| *gguf == stem)?;
        (*path).to_owned()
    };
    Some(format!("{path}.{kind}"))
}

/// The other way round: what GGUF calls a tensor of the Llama and Qwen families.
pub(super) fn gguf(name: &str) -> Option<String> {
    let (path, kind) = stem_and_kind(name)?;
    let stem = if let Some(rest) = path.strip_prefix("model.layers.") {
        let (block, part) = block_and_part(rest)?;
        let (stem, _) = BLOCK_PARTS.iter().find(|(_, path)| *path == part)?;
        format!("blk.{block}.{stem}")
    } else {
        let (stem, _) = PARTS.iter().find(|(_, known)| *known == path)?;
        (*stem).to_owned()
    };
    Some(format!("{stem}.{kind}"))
}

fn stem_and_kind(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.')
        .filter(|(_, kind)| matches!(*kind, "weight" | "bias"))
}

fn block_and_part(rest: &str) -> Option<(usize, &str)> {
    let (block, part) = rest.split_once('.')?;
    Some((block.parse().ok()?, part))
}

/// Rows of a query or key projection for rotate-half rotary embeddings.
///
/// llama.cpp rotates neighboring rows of a head in architecture `llama`, so its converter interleaves
/// the two halves of each head. `None` unless every head has an even number of rows.
///
/// ```text
/// here[h · d + half · d/2 + i] = file[h · d + 2 · i + half]     d rows a head, half 0 or 1
/// ```
pub(super) fn rotate_half_rows(values: &[f32], rows: usize, n_heads: usize) -> Option<Vec<f32>> {
    reordered(values, rows, n_heads, |row, half_rows| {
        2 * (row % half_rows) + row / half_rows
    })
}

/// The inverse of [`rotate_half_rows`]: the row order of a file, from that of rotate-half.
pub(super) fn neighboring_rows(values: &[f32], rows: usize, n_heads: usize) -> Option<Vec<f32>> {
    reordered(values, rows, n_heads, |row, half_rows| {
        half_rows * (row % 2) + row / 2
    })
}

/// Rows within each head, taken from where `source` says for a row and half the rows of a head.
fn reordered(
    values: &[f32],
    rows: usize,
    n_heads: usize,
    source: impl Fn(usize, usize) -> usize,
) -> Option<Vec<f32>> {
    let head_rows = rows.checked_div(n_heads)?;
    if rows == 0 || head_rows * n_heads != rows || !head_rows.is_multiple_of(2) {
        return None;
    }
    let width = values.len() / rows;
    let mut taken = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_rows * width) {
        for row in 0..head_rows {
            taken.extend_from_slice(&head[source(row, head_rows / 2) * width..][..width]);
        }
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_families_are_mapped() {
        for (gguf, expected) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("output.weight", "lm_head.weight"),
            (
                "blk.12.attn_q.bias",
                "model.layers.12.self_attn.q_proj.bias",
            ),
            (
                "blk.0.attn_k_norm.weight",
                "model.layers.0.self_attn.k_norm.weight",
            ),
            (
                "blk.3.ffn_norm.weight",
                "model.layers.3.post_attention_layernorm.weight",
            ),
        ] {
            assert_eq!(hugging_face(gguf).as_deref(), Some(expected));
            assert_eq!(super::gguf(expected).as_deref(), Some(gguf));
        }
    }

    #[test]
    fn other_names_have_no_mapping() {
        for name in [
            "rope_freqs.weight",
            "blk.x.attn_q.weight",
            "blk.1.ssm_a",
            "weight",
            "",
        ] {
            assert_eq!(hugging_face(name), None, "{name}");
        }
    }

    #[test]
    fn the_halves_of_each_head_are_separated() {
        // Two heads of four rows of width 2; row r holds r and r + 0.5.
        let values: Vec<f32> = (0..8u8)
            .flat_map(|r| [f32::from(r), f32::from(r) + 0.5])
            .collect();
        let rotated = rotate_half_rows(&values, 8, 2).unwrap();
        let rows: Vec<f32> = rotated.chunks(2).map(|row| row[0]).collect();
        assert_eq!(rows, [0., 2., 1., 3., 4., 6., 5., 7.]);
        assert!(rotated.chunks(2).all(|row| row[1] == row[0] + 0.5));
        assert_eq!(neighboring_rows(&rotated, 8, 2), Some(values));
    }

    #[test]
    fn heads_that_do_not_divide_the_rows_are_refused() {
        for (rows, heads) in [(6, 4), (6, 2), (6, 0), (0, 2)] {
            assert_eq!(rotate_half_rows(&vec![0.0; rows], rows, heads), None);
        }
    }
}
