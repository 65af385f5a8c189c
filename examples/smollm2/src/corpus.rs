//! The text that the student learns from, and the part that it never sees.

use anyhow::{Result, bail};
use potstill::burn::tensor::Device;
use potstill::core::{TokenBatch, TokenRow};
use potstill::data::{
    ChatTemplate, EncodeOptions, PackOptions, Record, TextSplit, TextTokenizer, encode_records,
    pack, read_jsonl, read_text, split_held_out,
};

use crate::Arguments;

/// Share of the records that are held out.
const HELD_OUT: f64 = 0.08;

/// Characters of a document that is made of paragraphs, about 500 tokens.
const DOCUMENT_CHARS: usize = 2_000;

/// Rows for training and for evaluation.
pub(crate) struct Corpus {
    /// Rows that the student learns from.
    pub(crate) train: Vec<TokenRow>,
    /// Rows that it is measured on.
    pub(crate) held_out: Vec<TokenRow>,
}

impl Corpus {
    /// Reads `.jsonl` as records and anything else as text, and says what became of it.
    pub(crate) fn read(
        arguments: &Arguments,
        tokenizer: &TextTokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Self> {
        let path = &arguments.data;
        let records: Vec<Record> = match path.extension() {
            Some(extension) if extension == "jsonl" => {
                read_jsonl(path)?.collect::<Result<_, _>>()?
            }
            _ => read_text(
                path,
                TextSplit::Paragraphs {
                    max_chars: DOCUMENT_CHARS,
                },
            )?,
        };
        let split = split_held_out(records, HELD_OUT, arguments.seed)?;
        if split.held_out.is_empty() || split.train.is_empty() {
            bail!("{} has too few records to hold some out", path.display());
        }
        let rows = |name: &str, records: &[Record]| -> Result<Vec<TokenRow>> {
            let encoded = encode_records(records, tokenizer, template, &EncodeOptions::default())?;
            let packed = pack(&encoded.documents, arguments.seq, &PackOptions::default())?;
            println!("{name}: {}; {}", encoded.report, packed.report);
            Ok(packed.rows)
        };
        Ok(Self {
            train: rows("training", &split.train)?,
            held_out: rows("held out", &split.held_out)?,
        })
    }

    /// The held-out rows as batches.
    pub(crate) fn held_out_batches(&self, batch: usize, pad_token: u32) -> Vec<TokenBatch> {
        let device = Device::default();
        self.held_out
            .chunks(batch)
            .map(|rows| TokenBatch::from_rows(rows, pad_token, &device))
            .collect()
    }
}
