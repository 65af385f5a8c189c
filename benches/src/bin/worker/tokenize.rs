//! Text to packed rows, as much as a file holds.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use potstill::core::SpecialTokens;
use potstill::data::{Layout, StreamOptions, TextTokenizer, pack_stream, read_records};
use potstill::models::Checkpoint;
use serde_json::json;

use crate::turns;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A file of records.
    corpus: PathBuf,
    /// `tokenizer.json`.
    tokenizer: PathBuf,
    /// Where the rows are written.
    rows: PathBuf,
    /// Positions of a row.
    #[arg(long, default_value_t = 1024)]
    seq: usize,
    /// The token that ends a text.
    #[arg(long, default_value = "<|im_end|>")]
    eos: String,
}

/// Reads, encodes, packs and writes the whole corpus, once a turn.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tokenizer =
        TextTokenizer::from_file(&arguments.tokenizer)?.with_special_tokens(SpecialTokens {
            eos: Some(arguments.eos.clone()),
            ..SpecialTokens::default()
        })?;
    turns::take(|| {
        let records = read_records(&arguments.corpus, Layout::Detect)?;
        let options = StreamOptions::default();
        let mut stream = pack_stream(records, &tokenizer, None, arguments.seq, options)?;
        let mut file = BufWriter::new(File::create(&arguments.rows)?);
        for row in &mut stream {
            let row = row?;
            for token in row.tokens() {
                file.write_all(&token.to_le_bytes())?;
            }
            for segment in row.segments() {
                file.write_all(&segment.to_le_bytes())?;
            }
        }
        file.flush()?;
        let packed = stream.pack_report();
        Ok(json!({
            "rows": packed.rows,
            "tokens": stream.encode_report().tokens,
            "padding": packed.padding_share(),
        }))
    })
}

#[derive(Debug, clap::Args)]
pub(crate) struct Extract {
    /// A checkpoint: a GGUF file or a folder.
    checkpoint: PathBuf,
    /// Where its `tokenizer.json` goes.
    tokenizer: PathBuf,
}

/// Takes the tokenizer out of a checkpoint, for programs that want it as a file.
pub(crate) fn extract(arguments: &Extract) -> Result<()> {
    let checkpoint = Checkpoint::open(&arguments.checkpoint)?;
    let tokenizer = checkpoint
        .tokenizer_json()?
        .context("the checkpoint has no tokenizer")?;
    std::fs::write(&arguments.tokenizer, tokenizer)?;
    Ok(())
}
